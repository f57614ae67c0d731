//! The GraphQL IDE, served from the binary: the page asks nobody else for anything.
//!
//! The files and their origin are described in `assets/graphiql/README.md`.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

/// What the page may do: nothing outside of this server. `GraphiQL` needs styles in elements, and its style sheet brings its fonts along.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     font-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page is nobody's frame and tells nobody that it was left; the second header is for browsers that do not know the policy's word on
/// frames.
pub(super) const PROTECTION: [(HeaderName, &str); 3] =
    [(header::X_CONTENT_TYPE_OPTIONS, "nosniff"), (header::X_FRAME_OPTIONS, "DENY"), (header::REFERRER_POLICY, "no-referrer")];

/// Released files have their version in the page's addresses, so browsers may keep them for good.
const KEEP: &str = "public, max-age=31536000, immutable";

/// Our own few lines change with the service.
const ASK_AGAIN: &str = "no-cache";

const INDEX: &[u8] = include_bytes!("../../assets/graphiql/index.html");

/// A file of the page.
struct Asset {
    name: &'static str,
    content_type: &'static str,
    compressed: bool,
    bytes: &'static [u8],
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";

const ASSETS: [Asset; 7] = [
    Asset {
        name: "graphiql.min.js",
        content_type: JAVASCRIPT,
        compressed: true,
        bytes: include_bytes!("../../assets/graphiql/graphiql.min.js.gz"),
    },
    Asset {
        name: "graphiql.min.css",
        content_type: CSS,
        compressed: true,
        bytes: include_bytes!("../../assets/graphiql/graphiql.min.css.gz"),
    },
    Asset {
        name: "react.min.js",
        content_type: JAVASCRIPT,
        compressed: true,
        bytes: include_bytes!("../../assets/graphiql/react.min.js.gz"),
    },
    Asset {
        name: "react-dom.min.js",
        content_type: JAVASCRIPT,
        compressed: true,
        bytes: include_bytes!("../../assets/graphiql/react-dom.min.js.gz"),
    },
    Asset {
        name: "events.js",
        content_type: JAVASCRIPT,
        compressed: false,
        bytes: include_bytes!("../../assets/graphiql/events.js"),
    },
    Asset {
        name: "start.js",
        content_type: JAVASCRIPT,
        compressed: false,
        bytes: include_bytes!("../../assets/graphiql/start.js"),
    },
    Asset { name: "page.css", content_type: CSS, compressed: false, bytes: include_bytes!("../../assets/graphiql/page.css") },
];

/// `GET /graphiql` and what the page asks for under `/graphiql/`.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/graphiql", get(serve_index))
        // The page's addresses are relative to a path without the slash.
        .route("/graphiql/", get(|| async { Redirect::permanent("../graphiql") }))
        .route("/graphiql/{asset}", get(serve_asset))
}

async fn serve_index() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, ASK_AGAIN),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ];
    (PROTECTION, headers, INDEX).into_response()
}

async fn serve_asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers =
        [(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, if asset.compressed { KEEP } else { ASK_AGAIN })];
    // Stored compressed and sent so to everybody: what shows this page has understood gzip for decades.
    let encoding: Option<[(HeaderName, &str); 1]> = asset.compressed.then_some([(header::CONTENT_ENCODING, "gzip")]);
    match encoding {
        Some(encoding) => (PROTECTION, headers, encoding, asset.bytes).into_response(),
        None => (PROTECTION, headers, asset.bytes).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses_of_the_page() -> Vec<&'static str> {
        let page = std::str::from_utf8(INDEX).unwrap();
        let attributes =
            page.split([' ', '>', '\n']).filter_map(|part| part.strip_prefix("src=\"").or(part.strip_prefix("href=\"")));
        attributes.map(|rest| rest.split('"').next().unwrap()).filter(|address| *address != "data:,").collect()
    }

    #[test]
    fn every_file_that_the_page_asks_for_is_served_and_no_other_is_kept() {
        let mut asked: Vec<&str> = addresses_of_the_page()
            .iter()
            .map(|address| address.strip_prefix("graphiql/").unwrap().split('?').next().unwrap())
            .collect();
        let mut served: Vec<&str> = ASSETS.iter().map(|asset| asset.name).collect();
        asked.sort_unstable();
        served.sort_unstable();
        assert_eq!(asked, served);
    }

    #[test]
    fn files_that_browsers_keep_have_their_version_in_the_address() {
        for asset in ASSETS.iter().filter(|asset| asset.compressed) {
            let versioned = format!("graphiql/{}?v=", asset.name);
            assert!(addresses_of_the_page().iter().any(|address| address.starts_with(&versioned)), "{}", asset.name);
            assert_eq!(asset.bytes[..2], [0x1f, 0x8b], "{} is gzip", asset.name);
        }
    }
}
