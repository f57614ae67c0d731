//! Requests that leave by a proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use quotagraph::config::{AuthMode, ProxySetting};
use quotagraph::koodrive::{Account, Client, Failure, Settings};
use quotagraph::metrics::UpstreamMetrics;
use quotagraph::proxy::Proxies;
use quotagraph::quota::SpaceAllocation;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

use super::tls::serve_tls;
use super::{World, quick};
use crate::support::app::{self, Database, tenant};
use crate::support::issuer::{JwksServer, SigningKey, jwt_auth};
use crate::support::proxy::Proxy;
use crate::support::site::Site;
use crate::tokens::{claims, status};

/// `user:hunter2`
const CREDENTIALS: &str = "dXNlcjpodW50ZXIy";

/// A certificate for a name that only the proxy can find, and its file.
fn certificate(name: &str) -> (CertifiedKey<KeyPair>, tempfile::NamedTempFile) {
    let certificate = generate_simple_self_signed([name.to_owned()]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate.cert.pem()).unwrap();
    (certificate, file)
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn call(world: &World, endpoint: &str, settings: Settings) -> Result<SpaceAllocation, Failure> {
    let metrics = UpstreamMetrics::register(&mut prometheus_client::registry::Registry::default());
    let client = Client::new(&settings, Arc::new(world.our_clock.clone()), metrics).unwrap();
    client.space_allocation(&Account { endpoint: endpoint.parse().unwrap(), ..world.account(0) }).await
}

#[tokio::test]
async fn a_call_to_https_goes_through_a_tunnel_and_its_signature_holds() {
    let world = World::of(1, quick()).await;
    let (certificate, ca) = certificate("koodrive.test");
    let port = serve_tls(world.simulator.addr(), &certificate).await;
    let proxy = Proxy::start(at(port), Some(CREDENTIALS)).await;
    let settings = |user: &str| {
        let proxies = Proxies::all(format!("http://{user}{}", proxy.place).parse().unwrap());
        Settings { proxies, ca_file: Some(ca.path().to_owned()), retries: 0, ..quick() }
    };
    let good = call(&world, "https://koodrive.test", settings("user:hunter2@")).await;
    assert_eq!(good.unwrap().allocated_gb(), 1000);
    assert_eq!(proxy.asked(), ["CONNECT koodrive.test:443 HTTP/1.1"]);
    let refused = call(&world, "https://koodrive.test:8443", settings("user:hunter3@")).await.unwrap_err();
    assert!(!format!("{refused:?} {refused}").contains("hunter"), "{refused:?}");
    assert_eq!(proxy.asked()[1], "CONNECT koodrive.test:8443 HTTP/1.1");
}

#[tokio::test]
async fn a_call_to_plain_http_is_the_proxys_own() {
    let world = World::of(1, quick()).await;
    let proxy = Proxy::start(world.simulator.addr(), Some(CREDENTIALS)).await;
    let proxies = Proxies::all(format!("http://user:hunter2@{}", proxy.place).parse().unwrap());
    let answer = call(&world, "http://koodrive.test", Settings { proxies, ..quick() }).await;
    assert_eq!(answer.unwrap().allocated_gb(), 1000);
    assert!(proxy.asked()[0].contains(" http://koodrive.test/"), "{:?}", proxy.asked());
}

#[tokio::test]
async fn commands_leave_by_the_proxy_of_the_environment_but_for_loopback_and_print_no_password() {
    let acme = [tenant("acme", 1, 10)];
    let site = Site::new("", &acme).await;
    let (certificate, ca) = certificate("koodrive.test");
    let port = serve_tls(site.simulator.addr(), &certificate).await;
    let proxy = Proxy::start(at(port), Some(CREDENTIALS)).await;
    let address = format!("http://user:hunter2@{}", proxy.place);
    let loopback = site.tables(&acme);
    let away = loopback.replace(&site.simulator.endpoint().to_string(), "https://koodrive.test");
    assert_ne!(loopback, away);
    let nowhere = "http://user:hunter2@127.0.0.1:9";
    for (settings, tables, env, works) in [
        ("", &away, vec![("HTTPS_PROXY", &*address)], true),
        ("", &away, vec![("https_proxy", &*address), ("HTTPS_PROXY", "")], true),
        ("", &away, vec![("HTTPS_PROXY", &*address), ("NO_PROXY", "other.test,.koodrive.example")], true),
        ("", &away, vec![("HTTPS_PROXY", &*address), ("NO_PROXY", "koodrive.test:8443 other.test")], true),
        ("", &away, vec![("HTTPS_PROXY", &*address), ("NO_PROXY", "koodrive.test")], false),
        ("", &away, vec![("HTTPS_PROXY", &*address), ("NO_PROXY", "other.test KooDrive.test.:443")], false),
        ("", &away, vec![("HTTPS_PROXY", &*address), ("NO_PROXY", ""), ("no_proxy", "koodrive.test")], false),
        ("", &away, vec![("HTTP_PROXY", &*address)], false),
        ("upstream.proxy = \"none\"\n", &away, vec![("HTTPS_PROXY", &*address)], false),
        (&*format!("upstream.proxy = \"{address}\"\n"), &away, vec![("HTTPS_PROXY", nowhere)], true),
        ("", &loopback, vec![("HTTPS_PROXY", nowhere), ("HTTP_PROXY", nowhere)], true),
        ("", &away, vec![("QUOTAGRAPH_UPSTREAM__PROXY", &*address)], true),
    ] {
        let ca_file =
            format!("upstream.ca_file = \"{}\"\nupstream.retries = 0\nupstream.connect_timeout = \"1s\"\n", ca.path().display());
        site.write("quotagraph.toml", &format!("{ca_file}{settings}{tables}"));
        for arguments in [&["check"][..], &["fetch", "acme"]] {
            let mut command = site.command(arguments);
            command.envs(env.iter().copied()).env("QUOTAGRAPH_LOG__FILTER", "trace");
            let finished = crate::support::process::run(command).await;
            assert_eq!(finished.code, Some(i32::from(!works)), "{arguments:?} {settings} {env:?}: {finished:?}");
            for text in [&finished.stdout, &finished.stderr] {
                assert!(!text.contains("hunter2") && !text.contains(CREDENTIALS), "{text}");
            }
        }
    }
    for (name, value) in [("HTTPS_PROXY", "socks5://user:hunter2@p"), ("QUOTAGRAPH_UPSTREAM__PROXY", "hunter2")] {
        let mut command = site.command(&["check"]);
        command.env(name, value);
        let finished = crate::support::process::run(command).await;
        let sentence = finished.sentence();
        assert!(sentence.starts_with(&format!("{name}: must be")) && !sentence.contains("hunter2"), "{sentence}");
    }
}

#[tokio::test]
async fn the_keys_of_an_issuer_are_fetched_by_a_proxy_from_a_server_of_an_authority_of_ones_own() {
    let key = SigningKey::ed25519("k");
    let server = JwksServer::start(&[&key]).await;
    let (certificate, ca) = certificate("idp.test");
    let behind: SocketAddr = server.url.trim_start_matches("http://").trim_end_matches("/jwks").parse().unwrap();
    let port = serve_tls(behind, &certificate).await;
    let proxy = Proxy::start(at(port), None).await;
    let world = app::World::new(Database::sqlite(), vec![tenant("a", 10, 100)]).await;
    for (trusted, expected) in [(true, 200), (false, 503)] {
        let mut auth = jwt_auth(AuthMode::Jwt, "https://idp.test/jwks");
        let jwt = auth.jwt.as_mut().unwrap();
        jwt.proxy = ProxySetting::Through(format!("http://{}", proxy.place).parse().unwrap());
        jwt.ca_file = trusted.then(|| ca.path().to_owned());
        let app = world.start_with(|config| config.auth = Some(auth)).await;
        assert_eq!(status(&app, &key.token(&claims(&world))).await, expected);
        app.stop().await;
    }
    assert_eq!(proxy.asked()[0], "CONNECT idp.test:443 HTTP/1.1");
}
