//! What is done with an input: it goes to a running service, or to the part that reads such a thing, and what comes back is checked. The
//! fuzz targets and the test that runs their seeds (`tests/it/fuzz_seeds.rs`) share this.
//!
//! Nearly everything goes through the public interfaces: real HTTP, a real WebSocket, the real upstream client. So what is found can be sent.
//! Where the inside must agree with itself, an oracle is asked besides.

mod answer;
mod config_file;
mod document;
mod export;
mod import;
mod sentence;
mod service;
mod socket;
mod upstream;

use quotagraph::graphql::invariants;

use self::answer::check;
use self::service::with_service;

/// The instant at which the service of the tests lives.
const NOW: &str = "2026-03-02T12:00:00Z";

/// A document, and after a line `----` its variables as JSON.
pub fn documents(input: &[u8]) {
    document::ask(input);
}

/// The body of a POST, whatever it is.
pub fn bodies(input: &[u8]) {
    invariants::check_json(input).expect("what holds of all JSON");
    with_service(async |service| check(&service.post(input.to_vec()).await));
    if let Ok(body @ serde_json::Value::Object(_)) = serde_json::from_slice(input) {
        with_service(async |service| document::ask_again(service, body).await);
    }
}

/// Messages over a WebSocket, one a line; `socket.rs` says how a line asks for pieces, for other frames and for no frame at all.
pub fn socket_messages(input: &[u8]) {
    with_service(async |service| socket::say_all(&service.address, input).await);
}

/// What the upstream sends: status line, headers and body. A line `----` stands between one answer and the next.
pub fn upstream_answers(input: &[u8]) {
    upstream::answer(input);
}

/// The query of an export's address. The first byte chooses the export.
pub fn export_parameters(input: &[u8]) {
    export::ask(input);
}

/// A file to import. What stands before a line `----` was imported before.
pub fn import_lines(input: &[u8]) {
    import::import(input);
}

/// A config file with everything that it names. Lines `#NAME=value` at its beginning are the environment.
pub fn config(input: &[u8]) {
    config_file::load(input);
}

/// The parts of an input between the lines `----`.
fn parts(input: &[u8]) -> Vec<&[u8]> {
    const SEPARATOR: &[u8] = b"\n----\n";
    let mut parts = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEPARATOR.len()..];
    }
    parts.push(rest);
    parts
}
