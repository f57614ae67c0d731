//! An upstream that answers with exactly the given bytes, and the client that has to make something of them.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use quotagraph::clock::TestClock;
use quotagraph::koodrive::{Account, Client, Credential, Failure, Settings};
use quotagraph::metrics::Metrics;
use quotagraph::quota::{MAX_SPACE_TYPES, SpaceAllocation};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use super::sentence::check_sentence;
use super::{NOW, parts};

/// How often the client calls for one input, at most.
const CALLS: usize = 3;

/// What is answered, one after the other; the last one for ever.
#[derive(Default)]
struct Answers {
    bytes: Mutex<Vec<Vec<u8>>>,
    next: AtomicUsize,
}

struct Upstream {
    answers: Arc<Answers>,
    account: Account,
    client: Client,
    runtime: Runtime,
}

static UPSTREAM: LazyLock<Mutex<Upstream>> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let answers = Arc::<Answers>::default();
    let address = serve(Arc::clone(&answers));
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
    Mutex::new(Upstream { answers, account, client, runtime })
});

/// Answers each request with what is next, and ends the connection.
fn serve(answers: Arc<Answers>) -> SocketAddr {
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
            let bytes = answers.take();
            let _ = connection.write_all(&bytes);
            let _ = connection.shutdown(Shutdown::Write);
        }
    });
    address
}

impl Answers {
    fn set(&self, bytes: Vec<Vec<u8>>) {
        *self.lock() = bytes;
        self.next.store(0, Ordering::SeqCst);
    }

    fn take(&self) -> Vec<u8> {
        let bytes = self.lock();
        bytes[self.next.fetch_add(1, Ordering::SeqCst).min(bytes.len() - 1)].clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets a client that knows nothing yet call an upstream that answers so, once for each answer.
pub fn answer(input: &[u8]) {
    let upstream = UPSTREAM.lock().unwrap_or_else(PoisonError::into_inner);
    let Upstream { answers, account, client, runtime } = &*upstream;
    let all: Vec<Vec<u8>> = parts(input).into_iter().map(<[u8]>::to_vec).collect();
    answers.set(all.clone());
    client.retain([]);
    for _ in 0..all.len().min(CALLS) {
        let before = answers.next.load(Ordering::SeqCst);
        match runtime.block_on(client.space_allocation(account)) {
            Ok(allocation) => {
                let last = answers.next.load(Ordering::SeqCst).saturating_sub(1).min(all.len() - 1);
                check_allocation(&allocation, &all[last]);
            }
            Err(failure) => check_failure(&failure),
        }
        assert!(answers.next.load(Ordering::SeqCst) <= before + 2, "a call is at most two requests when nothing is repeated");
        check_date(client, account);
    }
}

fn check_failure(failure: &Failure) {
    check_sentence(&failure.to_string());
    assert!(failure.attempts <= 2, "{} requests", failure.attempts);
    let verdict = &failure.verdict;
    assert!(verdict.code().starts_with("UPSTREAM_"), "{}", verdict.code());
    assert!(verdict.retry_after().is_none_or(|wait| wait <= Duration::from_hours(1)), "{:?}", verdict.retry_after());
    if let Some(code) = verdict.upstream_code() {
        check_sentence(&code);
        assert!(code.chars().count() <= 64, "a code of {} characters", code.chars().count());
    }
}

/// Whatever the upstream said of the time, the next request can be made, with a date.
fn check_date(client: &Client, account: &Account) {
    let request = client.signed_headers(account).expect("a request");
    let date = request.headers.iter().find(|(name, _)| *name == "X-Date");
    let (_, date) = date.expect("a date");
    assert!(date.len() == "20260302T120000Z".len() && date.is_ascii(), "{date:?}");
}

/// The types are each once and in order, and what they hold is what anybody reads in the body.
fn check_allocation(allocation: &SpaceAllocation, answer: &[u8]) {
    let types = allocation.by_type();
    assert!((1..=MAX_SPACE_TYPES).contains(&types.len()), "{} space types", types.len());
    assert!(types.windows(2).all(|pair| pair[0].space_type < pair[1].space_type), "{types:?}");
    assert!(types.iter().all(|of_type| of_type.allocated_gb >= 0 && of_type.total_gb >= 0), "{types:?}");
    let now: Timestamp = NOW.parse().expect("an instant");
    assert!(allocation.observed_at().duration_since(now).abs() < SignedDuration::from_secs(1), "{}", allocation.observed_at());
    let Some(items) = read_body(answer) else { return };
    let mut items: Vec<_> =
        items.iter().map(|item| ["type", "allocateCapacity", "totalCapacity"].map(|name| number(&item[name]))).collect();
    items.sort_unstable();
    let found: Vec<_> = types.iter().map(|of| [Some(of.space_type.into()), Some(of.allocated_gb), Some(of.total_gb)]).collect();
    assert_eq!(found, items);
}

/// The items of a body that is not sent in chunks.
fn read_body(answer: &[u8]) -> Option<Vec<Value>> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    if answer[..head].to_ascii_lowercase().windows(8).any(|window| window == b"encoding") {
        return None;
    }
    let body: Value = serde_json::Deserializer::from_slice(&answer[head + 4..]).into_iter().next()?.ok()?;
    match &body["data"] {
        Value::Array(items) => Some(items.clone()),
        item => Some(vec![item.clone()]),
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).or_else(|| (value.as_f64() == Some(0.0)).then_some(0))
}
