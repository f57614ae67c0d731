//! How many tokens a document has, counted without parsing it (GraphQL specification, section 2.1).

/// The document's lexical tokens. Blanks, commas and comments are none. What is no token at all counts as one by character; the parser
/// refuses it afterwards.
pub(super) fn count_tokens(document: &str) -> usize {
    let mut rest = document.as_bytes();
    let mut count = 0;
    while let [first, ..] = *rest {
        let length = match first {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | 0xEF | 0xBB | 0xBF => {
                rest = &rest[1..];
                continue;
            }
            b'#' => {
                rest = &rest[run(rest, |b| b != b'\n' && b != b'\r')..];
                continue;
            }
            b'"' if rest.starts_with(br#"""""#) => block_string(rest),
            b'"' => string(rest),
            b'.' if rest.starts_with(b"...") => 3,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => run(rest, |b| b.is_ascii_alphanumeric() || b == b'_'),
            b'0'..=b'9' | b'-' => 1 + run(&rest[1..], |b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-')),
            _ => 1,
        };
        rest = &rest[length..];
        count += 1;
    }
    count
}

/// How many bytes from the start on are of that kind.
fn run(bytes: &[u8], of_kind: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| of_kind(**byte)).count()
}

/// The length of the string that the bytes begin with; to the end of the line when it does not end.
fn string(bytes: &[u8]) -> usize {
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 2,
            b'"' => return at + 1,
            b'\n' | b'\r' => return at,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The length of the block string that the bytes begin with.
fn block_string(bytes: &[u8]) -> usize {
    let mut at = 3;
    while at < bytes.len() {
        if bytes[at..].starts_with(br#"\""""#) {
            at += 4;
        } else if bytes[at..].starts_with(br#"""""#) {
            return at + 3;
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens_are_counted_as_the_specification_tells_them_apart() {
        for (document, count) in [
            ("", 0),
            (" ,,\n\t# a comment { }\n", 0),
            ("\u{feff}{ a }", 3),
            ("{a(b:1,c:-2.5e+3)}", 11),
            ("query Q($id: ID! = \"x y\") { ...F @skip(if: $no) }", 23),
            (r#"{ a(b: "\" } {", c: "") }"#, 11),
            (r#"{ a(b: """ a "quoted" \""" block { """) }"#, 8),
            ("{ a(b: \"not closed\n c: 1) }", 11),
            (r#"{ a(b: """not closed } }"#, 6),
            (r#"{ a(b: "\"#, 6),
        ] {
            assert_eq!(count_tokens(document), count, "{document}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_counted_and_has_no_more_tokens_than_bytes(document in r#"[ ,a-c0-9".\\{}()#\n-]{0,40}|\PC{0,20}"#) {
            prop_assert!(count_tokens(&document) <= document.len());
        }

        #[test]
        fn tokens_in_a_row_add_up(tokens in prop::collection::vec(
            prop::sample::select(vec!["{", "}", "...", "name", "$", "-1.5", "\"a b\"", "\"\"\"c \" d\"\"\"", "@", "!", "|"]), 0..40
        )) {
            prop_assert_eq!(count_tokens(&tokens.join(" ")), tokens.len());
        }
    }
}
