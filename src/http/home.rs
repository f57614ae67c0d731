//! `GET /`: what a browser sees that is pointed at the service, with the ways on from there.

use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use crate::http::graphiql::PROTECTION;

const PAGE: &str = include_str!("../../assets/home/index.html");

/// Before the line that leads to the IDE.
const MARK: &str = "<!--graphiql-->";

/// Nothing but the page itself and its styles.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page where there is the IDE.
pub(super) async fn show_with_graphiql() -> Response {
    respond(PAGE.replacen(MARK, "", 1))
}

/// The page where there is none.
pub(super) async fn show_without_graphiql() -> Response {
    respond(PAGE.lines().filter(|line| !line.starts_with(MARK)).flat_map(|line| [line, "\n"]).collect())
}

fn respond(page: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    (PROTECTION, headers, page).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_leads_to_the_ide_where_there_is_one() {
        let line = PAGE.lines().find(|line| line.starts_with(MARK)).unwrap();
        assert!(line.contains("href=\"graphiql\""), "{line}");
    }
}
