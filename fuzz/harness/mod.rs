//! What is done with an input: it goes to a running service, or to the part that reads such a thing, and what comes back is checked. The
//! fuzz targets and the test that runs their seeds (`tests/it/fuzz_seeds.rs`) share this.
//!
//! Everything goes through the public interfaces: real HTTP, a real WebSocket, the real upstream client. So what is found can be sent.

mod answer;
mod service;
mod socket;
mod upstream;

use std::io::Write as _;
use std::sync::LazyLock;

use jiff::Timestamp;
use quotagraph::quota::TenantId;

use self::answer::check;
use self::service::with_service;

/// The instant at which the service of the tests lives.
const NOW: &str = "2026-03-02T12:00:00Z";

/// A document, as the member `query` of a POST.
pub fn documents(input: &[u8]) {
    let body = serde_json::json!({ "query": String::from_utf8_lossy(input) }).to_string();
    with_service(async |service| check(service.post("application/json", body.into_bytes()).await));
}

/// The body of a POST, whatever it is.
pub fn bodies(input: &[u8]) {
    with_service(async |service| check(service.post("application/json", input.to_vec()).await));
}

/// Messages over a WebSocket, one a line. What is not UTF-8 is sent as a binary message.
pub fn socket_messages(input: &[u8]) {
    with_service(async |service| socket::say_all(&service.address, input).await);
}

/// What the upstream sends: status line, headers and body.
pub fn upstream_answers(input: &[u8]) {
    upstream::answer(input);
}

/// The query of an export's address. The first byte chooses the export.
pub fn export_parameters(input: &[u8]) {
    let [first, query @ ..] = input else { return };
    let route = if first % 2 == 0 { "usage" } else { "snapshots" };
    let path = format!("/v1/export/{route}?{}", String::from_utf8_lossy(query).replace('#', "%23"));
    with_service(async |service| check(service.get(&path).await));
}

/// A file to import.
pub fn import_lines(input: &[u8]) {
    static TENANTS: LazyLock<Vec<TenantId>> = LazyLock::new(|| ["acme", "zenith"].map(|id| id.parse().expect("an id")).to_vec());
    let now: Timestamp = NOW.parse().expect("an instant");
    if let Err(error) = quotagraph::import::read_file(input, &TENANTS, 300, now) {
        check_sentence(&error.to_string());
    }
}

/// A config file with everything that it names.
pub fn config(input: &[u8]) {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(input).expect("a file that can be written");
    let none = || std::iter::empty::<(String, String)>();
    let read = quotagraph::config::load(Some(file.path()), none())
        .and_then(|config| quotagraph::config::load_tenants(&config, none()).map(drop));
    if let Err(error) = read {
        check_sentence(&error.to_string());
    }
}

/// A message is one line, and prints no more of a value than helps.
fn check_sentence(sentence: &str) {
    assert!(!sentence.chars().any(char::is_control), "a control character in a message: {sentence:?}");
    assert!(sentence.len() < 2000, "a message of {} bytes: {sentence:.300}…", sentence.len());
}
