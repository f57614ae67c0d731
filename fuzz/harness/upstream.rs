//! An upstream that answers with exactly the given bytes, and the client that has to make something of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use quotagraph::clock::TestClock;
use quotagraph::koodrive::{Account, Client, Credential, Settings};
use quotagraph::metrics::Metrics;
use quotagraph::quota::MAX_SPACE_TYPES;
use tokio::runtime::{Builder, Runtime};

use super::NOW;

struct Upstream {
    answer: Arc<Mutex<Vec<u8>>>,
    account: Account,
    client: Client,
    runtime: Runtime,
}

static UPSTREAM: LazyLock<Mutex<Upstream>> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answer = Arc::<Mutex<Vec<u8>>>::default();
    let address = serve(Arc::clone(&answer));
    let settings = Settings {
        attempt_timeout: Duration::from_secs(5),
        retries: 0,
        requests_per_second: 1_000_000,
        breaker_failures: u32::MAX,
        ..Settings::default()
    };
    let clock = TestClock::new(NOW.parse().expect("an instant"));
    let client = Client::new(&settings, Arc::new(clock), Metrics::default().upstream).expect("a client");
    let account = Account {
        tenant: "acme".parse().expect("an id"),
        endpoint: format!("http://{address}").parse().expect("an address"),
        user_id: "1505084218764547200".to_owned(),
        credential: Credential::App { app_id: "app".to_owned(), app_secret: "secret".to_owned().into() },
        generation: 0,
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    Mutex::new(Upstream { answer, account, client, runtime })
});

/// Answers every request with what the answer is at that moment, and ends the connection.
fn serve(answer: Arc<Mutex<Vec<u8>>>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let mut head = Vec::new();
            let mut piece = [0; 4096];
            while !head.ends_with(b"\r\n\r\n") {
                match connection.read(&mut piece) {
                    Ok(count @ 1..) => head.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let bytes = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = connection.write_all(&bytes);
            let _ = connection.shutdown(Shutdown::Write);
        }
    });
    address
}

/// Lets the client call an upstream that answers so.
pub fn answer(bytes: &[u8]) {
    let upstream = UPSTREAM.lock().unwrap_or_else(PoisonError::into_inner);
    let Upstream { answer, account, client, runtime } = &*upstream;
    bytes.clone_into(&mut answer.lock().unwrap_or_else(PoisonError::into_inner));
    match runtime.block_on(client.space_allocation(account)) {
        Ok(allocation) => {
            let types = allocation.by_type().len();
            assert!((1..=MAX_SPACE_TYPES).contains(&types), "{types} space types");
        }
        Err(failure) => {
            let sentence = failure.to_string();
            assert!(!sentence.chars().any(char::is_control), "a control character in a verdict: {sentence:?}");
            assert!(sentence.len() < 2000, "a verdict of {} bytes: {sentence:.300}…", sentence.len());
        }
    }
}
