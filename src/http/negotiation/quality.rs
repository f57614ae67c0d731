//! Lists in which each member has a quality value (RFC 9110 section 12.4.2).

use axum::http::HeaderValue;

/// A member of a list.
pub(super) struct Weighted {
    /// In lower case, without parameters.
    pub value: String,
    /// How much it is liked, in thousandths.
    pub quality: u16,
}

/// The members of a header's value. One with a quality that is none is left out, and so are all of a value that is not ASCII.
pub(super) fn weighted(header: &HeaderValue) -> impl Iterator<Item = Weighted> {
    header.to_str().unwrap_or_default().split(',').filter_map(parse)
}

fn parse(member: &str) -> Option<Weighted> {
    let mut parts = member.split(';').map(str::trim);
    let value = parts.next().filter(|value| !value.is_empty())?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.map_or(Some(1.0), |quality| quality.parse::<f32>().ok())?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
    let quality = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    Some(Weighted { value, quality })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_without_a_value_or_with_a_wrong_quality_are_left_out() {
        let list = HeaderValue::from_static(" GZIP;q=0.5, br ; Q=1.5,, ;q=1,zstd;q=x,*;level=1;q=0.0004");
        let read: Vec<_> = weighted(&list).map(|member| (member.value, member.quality)).collect();
        assert_eq!(read, [("gzip".to_owned(), 500), ("br".to_owned(), 1000), ("*".to_owned(), 0)]);
        assert_eq!(weighted(&HeaderValue::from_bytes(b"gzip\xff").unwrap()).count(), 0);
    }
}
