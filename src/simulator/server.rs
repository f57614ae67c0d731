//! The running simulator.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::index::Tenants;
use super::tenant::{Entry, ResponsePlan, SeenRequest, SimulatedTenant, TenantHandle};
use super::verify::{self, Claim, GatewayError};
use super::{control, respond};
use crate::clock::SharedClock;
use crate::koodrive::ALLOCATION_PATH;

/// How long [`Simulator::stop`] waits for answers that are under way.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// A running simulator. Ends when it is dropped.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    endpoint: Url,
    tenants: Arc<Tenants>,
    stopping: CancellationToken,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Listens and answers for `tenants`, whose server clock is `clock`.
    ///
    /// # Errors
    /// When the address cannot be listened on, or two tenants share an id or a credential.
    pub async fn start(listen: SocketAddr, tenants: Vec<SimulatedTenant>, clock: SharedClock) -> io::Result<Self> {
        let stopping = CancellationToken::new();
        let tenants = Arc::new(Tenants::index(tenants, clock, stopping.clone())?);
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        let endpoint = Url::parse(&format!("http://{addr}")).map_err(io::Error::other)?;
        let one_tenant = get(control::show).put(control::replace).delete(control::reset);
        let router = Router::new()
            .route("/simulator/tenants", get(control::list))
            .route("/simulator/tenants/{id}", one_tenant)
            .fallback(answer)
            .with_state(Arc::clone(&tenants));
        let listener = listener.tap_io(|connection| {
            // Without it small answers may wait for the client's acknowledgement; a failure costs only that.
            let _ = connection.set_nodelay(true);
        });
        let serving = axum::serve(listener, router).with_graceful_shutdown(stopping.clone().cancelled_owned());
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "simulator failed");
            }
        });
        Ok(Self { addr, endpoint, tenants, stopping, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint to configure for its tenants.
    #[must_use]
    pub fn endpoint(&self) -> Url {
        self.endpoint.clone()
    }

    /// A tenant, to see and change how it behaves.
    #[must_use]
    pub fn tenant(&self, id: &str) -> Option<TenantHandle> {
        self.tenants.by_id(id)
    }

    /// How many requests named some tenant's credential, over all tenants.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.tenants.all().map(|tenant| tenant.hits()).sum()
    }

    /// Stops listening and ends the answers that are under way.
    pub async fn stop(mut self) {
        self.stopping.cancel();
        let _ = tokio::time::timeout(STOP_TIMEOUT, &mut self.server).await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stopping.cancel();
        self.server.abort();
    }
}

/// Answers every request that is not for the control API.
async fn answer(State(tenants): State<Arc<Tenants>>, request: Request) -> Response {
    let (request, _) = request.into_parts();
    match find_tenant(&tenants, &request) {
        Ok((entry, claim)) => answer_for(&tenants, entry, claim, &request).await,
        Err(refusal) => respond::dated(respond::refused(&refusal), tenants.clock.now()),
    }
}

fn find_tenant<'a>(tenants: &'a Tenants, request: &'a Parts) -> Result<(&'a Entry, Claim<'a>), GatewayError> {
    let uri = &request.uri;
    if uri.path() != ALLOCATION_PATH {
        return Err(verify::refusal(404, "APIGW.0101", "The API does not exist or has not been published."));
    }
    if request.method != Method::GET {
        return Err(verify::refusal(405, "APIGW.0101", "The API takes GET only."));
    }
    if uri.query().is_some() {
        return Err(verify::refusal(400, "APIGW.0305", "The API takes no query."));
    }
    let claim = verify::parse_claim(&request.headers)?;
    Ok((tenants.by_claim(claim)?, claim))
}

async fn answer_for(tenants: &Tenants, entry: &Entry, claim: Claim<'_>, request: &Parts) -> Response {
    let received = entry.server_time(tenants.clock.now());
    entry.note_request(seen(request, received));
    let called = (&request.method, request.uri.path());
    if let Err(refusal) = verify::verify(&entry.tenant.user_id, &entry.key, claim, called, &request.headers, received) {
        entry.note_refusal();
        tracing::debug!(tenant = %entry.tenant.id, reason = refusal.message, "simulator refused a request");
        return respond::dated(respond::refused(&refusal), received);
    }
    let ResponsePlan { behaviour, fail, over_limit } = entry.plan(received);
    if behaviour.delay_ms > 0 {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(behaviour.delay_ms)) => {}
            () = tenants.stopping.cancelled() => {}
        }
    }
    let now = tenants.clock.now();
    let values = entry.values(&behaviour, now);
    let response = match &values {
        _ if over_limit => respond::over_limit(&behaviour),
        _ if fail => respond::failed(&behaviour, values.as_deref().unwrap_or_default(), request.uri.path()),
        Some(by_type) => respond::good(by_type, behaviour.form.unwrap_or(entry.tenant.form)),
        None => respond::down(),
    };
    respond::dated(response, entry.server_time(now))
}

fn seen(request: &Parts, received: Timestamp) -> SeenRequest {
    let text = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    SeenRequest {
        received,
        date: verify::parse_date(&request.headers).ok(),
        trace_id: text("x-traceid"),
        language: text("language"),
    }
}
