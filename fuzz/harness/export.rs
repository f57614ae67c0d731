//! An export, and what is in its file.

use super::answer::{Answer, check};
use super::service::{Service, with_service};

pub fn ask(input: &[u8]) {
    let [first, query @ ..] = input else { return };
    let route = if first % 2 == 0 { "usage" } else { "snapshots" };
    // What stands at the end of an address and is not seen is no part of it.
    let query = String::from_utf8_lossy(query).trim_end_matches(|c: char| c <= ' ').replace('#', "%23");
    with_service(async |service| {
        let Some(answer) = get(service, route, &query).await else { return };
        if answer.status != 200 {
            return;
        }
        let rows = check_file(&answer);
        // The same rows in the other formats.
        if rows < 5000 && url::form_urlencoded::parse(query.as_bytes()).all(|(name, _)| name != "format") {
            for format in ["ndjson", "parquet"] {
                let other = get(service, route, &format!("{query}&format={format}")).await.expect("an answer");
                assert_eq!(other.status, 200, "as {format}");
                let others = check_file(&other);
                assert!(others == rows || format == "parquet", "{rows} rows of CSV, and {others} of {format}");
            }
        }
    });
}

async fn get(service: &Service, route: &str, query: &str) -> Option<Answer> {
    let answer = service.get(&format!("/v1/export/{route}?{query}")).await?;
    check(&answer);
    Some(answer)
}

/// Checks a file of any format; tells how many rows it has, if that is to be seen.
fn check_file(answer: &Answer) -> usize {
    let body = &answer.body;
    if answer.content_type.contains("parquet") {
        assert!(body.len() > 12 && body.starts_with(b"PAR1") && body.ends_with(b"PAR1"), "no file of Parquet");
        return 0;
    }
    let text = str::from_utf8(body).expect("UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'), "a line without an end");
    if answer.content_type.contains("ndjson") {
        let objects = text.lines().map(|line| serde_json::from_str::<serde_json::Map<_, _>>(line).expect("an object in each line"));
        return objects.map(|object| assert!(object.contains_key("tenant"))).count();
    }
    assert!(answer.content_type.contains("csv"), "{}", answer.content_type);
    let mut lines = text.lines();
    let columns = lines.next().expect("the names").split(',').count();
    lines.inspect(|line| assert_eq!(line.split(',').count(), columns, "{line}")).count()
}
