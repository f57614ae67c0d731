//! Which media type an answer gets, by the request's `Accept` (GraphQL over HTTP, RFC 9110 section 12.5.1).

use axum::http::{HeaderMap, HeaderValue, header};

use super::quality::{Weighted, weighted};

/// What a caller accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The media type that an answer gets; `None` when the caller accepts none of them.
    pub media_type: Option<MediaType>,
    /// Whether the caller asks for server-sent events, by name.
    pub events: bool,
}

impl Accepted {
    /// What the request's `Accept` says; `None` when there is nothing that could be sent.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(header::ACCEPT).iter();
        // What most requests have; without the header, as older clients expect.
        if let (None | Some(b"*/*" | b"application/json"), None) = (values.next().map(HeaderValue::as_bytes), values.next()) {
            return Some(Self { media_type: Some(MediaType::Json), events: false });
        }
        let mut values = headers.get_all(header::ACCEPT).iter();
        // Who names nothing has no preference (RFC 9110, section 12.5.1).
        if values.all(|value| value.as_bytes().iter().all(|byte| matches!(byte, b' ' | b'\t' | b','))) {
            return Some(Self { media_type: Some(MediaType::Json), events: false });
        }
        let ranges = Range::all(headers);
        let media_type = MediaType::choose(&ranges);
        let events = ranges.iter().any(|range| range.essence == "text/event-stream" && range.quality > 0);
        (media_type.is_some() || events).then_some(Self { media_type, events })
    }
}

/// The media type of a GraphQL answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/graphql-response+json`: the status tells whether the document was executed.
    GraphqlResponse,
    /// `application/json`: a well-formed request is always answered with 200.
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }

    /// The type that the caller likes best; `None` when it accepts neither.
    fn choose(ranges: &[Range]) -> Option<Self> {
        let quality = |media_type: Self| {
            let of = |range: &&Range| range.covers(media_type);
            // The most specific range decides.
            ranges.iter().filter(of).max_by_key(|range| range.specificity).map_or(0, |range| range.quality)
        };
        let (new, old) = (quality(Self::GraphqlResponse), quality(Self::Json));
        match (new, old) {
            (0, 0) => None,
            // Of two that are liked alike, the one that is named first; by wildcard alone, the older one.
            (new, old) if new == old => ranges.iter().find_map(Range::named).or(Some(Self::Json)),
            (new, old) if new > old => Some(Self::GraphqlResponse),
            _ => Some(Self::Json),
        }
    }
}

/// The form in which figures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Exposition {
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Text,
}

impl Exposition {
    /// The form that the caller likes best. Whoever accepts neither gets the one that everything reads.
    pub fn of(headers: &HeaderMap) -> Self {
        let ranges = Range::all(headers);
        if ranges.is_empty() {
            return Self::OpenMetrics;
        }
        let quality = |form: Self| {
            let of = |range: &&Range| range.covers_essence(form.essence());
            let most_specific = ranges.iter().filter(of).max_by_key(|range| (range.specificity, range.quality));
            most_specific.map_or(0, |range| range.quality)
        };
        match (quality(Self::OpenMetrics), quality(Self::Text)) {
            (0, _) => Self::Text,
            // Of two that are liked alike, the one that is named first.
            (open, text) if open == text => {
                let named =
                    |range: &Range| [Self::OpenMetrics, Self::Text].into_iter().find(|form| form.essence() == range.essence);
                ranges.iter().find_map(named).unwrap_or(Self::OpenMetrics)
            }
            (open, text) if open < text => Self::Text,
            _ => Self::OpenMetrics,
        }
    }

    fn essence(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text",
            Self::Text => "text/plain",
        }
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// One range of an `Accept` header.
struct Range {
    essence: String,
    specificity: u8,
    /// In thousandths.
    quality: u16,
}

impl From<Weighted> for Range {
    fn from(Weighted { value: essence, quality }: Weighted) -> Self {
        let specificity = match essence.as_str() {
            "*/*" => 0,
            other if other.ends_with("/*") => 1,
            _ => 2,
        };
        Self { essence, specificity, quality }
    }
}

impl Range {
    /// All that the request accepts.
    fn all(headers: &HeaderMap) -> Vec<Self> {
        headers.get_all(header::ACCEPT).iter().flat_map(weighted).map(Self::from).collect()
    }

    fn covers_essence(&self, essence: &str) -> bool {
        match self.specificity {
            0 => true,
            1 => essence.starts_with(self.essence.trim_end_matches('*')),
            _ => self.essence == essence,
        }
    }

    fn covers(&self, media_type: MediaType) -> bool {
        match self.specificity {
            0 => true,
            1 => self.essence == "application/*",
            _ => self.named() == Some(media_type),
        }
    }

    fn named(&self) -> Option<MediaType> {
        match self.essence.as_str() {
            "application/graphql-response+json" => Some(MediaType::GraphqlResponse),
            "application/json" => Some(MediaType::Json),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MediaType::{self, GraphqlResponse, Json};
    use super::*;

    #[test]
    fn events_are_sent_to_whoever_names_them() {
        for (accept, expected) in [
            ("text/event-stream", Some((None, true))),
            ("Text/Event-Stream;q=0.1", Some((None, true))),
            ("application/json, text/event-stream", Some((Some(Json), true))),
            ("text/event-stream;q=0, */*", Some((Some(Json), false))),
            ("text/*", None),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Accepted::of(&headers).map(|accepted| (accepted.media_type, accepted.events)), expected, "{accept}");
        }
    }

    #[test]
    fn figures_come_in_the_form_that_is_liked_best() {
        use Exposition::{OpenMetrics, Text};
        for (accept, expected) in [
            (None, OpenMetrics),
            (Some(""), OpenMetrics),
            (Some("*/*"), OpenMetrics),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("application/*"), OpenMetrics),
            (Some("text/plain"), Text),
            (Some("Text/Plain; version=0.0.4"), Text),
            (Some("text/*"), Text),
            (Some("text/plain;version=0.0.4;q=1,*/*;q=0.1"), Text),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), OpenMetrics),
            (Some("application/json"), Text),
            (Some("application/openmetrics-text;q=0, */*"), Text),
            (
                Some(
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                ),
                OpenMetrics,
            ),
            (Some("application/openmetrics-text;q=0.4, text/plain;q=0.5"), Text),
            (Some("text/plain, application/openmetrics-text"), Text),
            (Some("application/openmetrics-text, text/plain"), OpenMetrics),
        ] {
            let headers: HeaderMap = accept.into_iter().map(|accept| (header::ACCEPT, accept.parse().unwrap())).collect();
            assert_eq!(Exposition::of(&headers), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_media_type_follows_the_accept_header() {
        let cases: &[(&[&str], Option<MediaType>)] = &[
            (&[], Some(Json)),
            (&["*/*"], Some(Json)),
            (&["application/*"], Some(Json)),
            (&["application/json"], Some(Json)),
            (&["application/graphql-response+json"], Some(GraphqlResponse)),
            (&["application/graphql-response+json; charset=utf-8, application/json; charset=utf-8"], Some(GraphqlResponse)),
            (&["application/json", "application/graphql-response+json"], Some(Json)),
            (&["application/json;q=0.9, application/graphql-response+json"], Some(GraphqlResponse)),
            (&["application/graphql-response+json;q=0.5, */*;q=0.8"], Some(Json)),
            (&["application/json;q=0, */*"], Some(GraphqlResponse)),
            (&["text/html"], None),
            (&["text/html, */*;q=0.1"], Some(Json)),
        ];
        for (accept, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *accept {
                headers.append(header::ACCEPT, value.parse().unwrap());
            }
            let accepted = Accepted::of(&headers);
            assert_eq!(accepted.and_then(|accepted| accepted.media_type), *expected, "{accept:?}");
            assert!(!accepted.is_some_and(|accepted| accepted.events), "{accept:?}");
        }
    }
}
