//! A client that asks one question after the other over one connection, with as little of its own as can be.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;

type Failure = Box<dyn Error + Send + Sync>;

const FIELDS: &str = "{ spaceAllocation { allocated total utilization } }";

/// Asks the questions of these numbers of a load, and fails with the first answer that is not a good one. Prints the last answer.
pub(crate) fn ask(address: &str, load: &str, numbers: Range<usize>) -> Result<(), Failure> {
    let host = address.trim_start_matches("http://");
    let mut connection = TcpStream::connect(host)?;
    connection.set_nodelay(true)?;
    let mut answers = BufReader::new(connection.try_clone()?);
    let mut last = String::new();
    for number in numbers {
        let body = question(load, number)?;
        let request = format!(
            "POST /graphql HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-Api-Key: bench\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        connection.write_all(request.as_bytes())?;
        last = read_answer(&mut answers)?;
    }
    println!("{last}");
    Ok(())
}

/// The body of a request.
fn question(load: &str, number: usize) -> Result<String, Failure> {
    let tenant = format!("t{:04}", number % 1000);
    let (query, variables) = match load {
        "repeated" => (format!("{{ tenant(id: \"t0007\") {FIELDS} }}"), None),
        "in-turn" => (format!("query($id: ID) {{ tenant(id: $id) {FIELDS} }}"), Some(serde_json::json!({ "id": tenant }))),
        // The name tells the document from that of the load before: none of its tenants was asked for yet.
        "new-variables" => {
            (format!("query New($id: ID) {{ tenant(id: $id) {FIELDS} }}"), Some(serde_json::json!({ "id": tenant })))
        }
        "new-document" => (format!("{{ q{number}: tenant(id: \"{tenant}\") {FIELDS} }}"), None),
        "list" => (format!("{{ tenants(first: 50) {{ nodes {{ id name {} }} }} }}", FIELDS.trim_matches(['{', '}'])), None),
        other => return Err(format!("there is no load {other}").into()),
    };
    Ok(match variables {
        None => serde_json::json!({ "query": query }),
        Some(variables) => serde_json::json!({ "query": query, "variables": variables }),
    }
    .to_string())
}

/// The body of an answer; an error when it is not one of data alone.
fn read_answer(connection: &mut BufReader<TcpStream>) -> Result<String, Failure> {
    let (mut status, mut length) = (String::new(), 0);
    connection.read_line(&mut status)?;
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body)?;
    let body = String::from_utf8(body)?;
    if !status.starts_with("HTTP/1.1 200") || !body.starts_with("{\"data\":") || body.contains("\"errors\"") {
        return Err(format!("{}: {body}", status.trim_end()).into());
    }
    Ok(body)
}
