//! Secrets and the files that they and everything else come from.

use std::os::unix::fs::PermissionsExt as _;

use futures_util::SinkExt as _;
use quotagraph::clock::{Clock as _, SystemClock};
use quotagraph::store;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::support::app::tenant;
use crate::support::process::run;
use crate::support::site::Site;

const KEY: &str = "a-key-that-nobody-shall-read-0123456789";

fn answer(allocated: f64) -> Value {
    json!({ "data": { "tenant": { "spaceAllocation": { "allocated": allocated } } } })
}

#[tokio::test]
async fn no_credential_of_any_layer_is_logged_at_trace() {
    for format in ["text", "json"] {
        let settings = "log.filter = \"trace\"\ncollector.interval = \"1s\"\n[auth]\nmode = \"keys\"\n[[auth.keys]]\nname = \"portal\"\ntenants = [\"*\"]\nroles = [\"READ\"]";
        let digest = hex::encode(Sha256::digest(KEY));
        let settings = format!("log.format = \"{format}\"\n{settings}\nsha256 = \"{digest}\"");
        let site = Site::serving(&settings, &[tenant("acme", 1, 2)]).await;
        let service = site.serve().await;
        let body = json!({ "query": "{ tenant { id } }" }).to_string();
        for (name, value) in [
            ("x-api-key", KEY.to_owned()),
            ("authorization", format!("Bearer {KEY}.{KEY}.{KEY}")),
            ("authorization", format!("ApiKey {KEY}")),
            ("cookie", format!("session={KEY}")),
        ] {
            let request = service.client.post(format!("{}/graphql", service.base)).header("content-type", "application/json");
            let _ = request.header(name, value).body(body.clone()).send().await.unwrap().text().await;
        }
        let mut request = format!("{}/graphql", service.base.replace("http:", "ws:")).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
        let payload = json!({ "apiKey": KEY, "authorization": format!("Bearer {KEY}") });
        socket.send(Message::text(json!({ "type": "connection_init", "payload": payload }).to_string())).await.unwrap();
        crate::support::process::until("a signed request", async || site.simulator.hits() > 0).await;
        let _ = socket.close(None).await;
        let finished = service.terminate().await;
        assert!(finished.stderr.contains("DEBUG"), "{}", finished.stderr);
        let key_in_hex: String = KEY.bytes().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for secret in [KEY, &KEY[..20], "Signature=", &key_in_hex[..40]] {
            assert!(!finished.stderr.contains(secret), "{secret} is in the log");
        }
    }
}

#[tokio::test]
async fn an_unknown_parameter_of_the_database_url_is_refused_and_its_value_is_not_repeated() {
    let site = Site::serving("log.filter = \"trace\"", &[tenant("acme", 1, 2)]).await;
    for (variable, url) in [
        ("DATABASE_URL", "postgres://u@127.0.0.1:1/d?pasword=hunter2"),
        ("QUOTAGRAPH_DATABASE__URL", "postgres://u@127.0.0.1:1/d?sslmode=disable&p%61sword=hunter2"),
        ("DATABASE_URL", "sqlite:a.db?pasword=hunter2"),
    ] {
        for command in [&["serve"][..], &["migrate"], &["import", "--list"]] {
            let mut command = site.command(command);
            command.env(variable, url);
            let finished = run(command).await;
            assert_eq!(finished.code, Some(1), "{finished:?}");
            assert!(
                finished.stderr.contains(&format!("{variable}: has the parameter pasword, which is not known; known are ")),
                "{finished:?}"
            );
            assert!(!finished.stderr.contains("hunter2") && !finished.stdout.contains("hunter2"), "{finished:?}");
        }
    }
}

#[tokio::test]
async fn a_new_sqlite_file_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/quota.db", folder.path().display());
    let acquire_timeout = std::time::Duration::from_secs(30);
    let settings = store::Settings { url: url.into(), max_connections: 2, acquire_timeout, listen: false };
    let store = store::open(&settings).await.unwrap();
    store.migrate().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "the file and its log: {files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    store.close().await;

    // Whatever the umask, and also for a file that is named by a relative path.
    let site = Site::new("database.url = \"sqlite:own.db\"", &[tenant("acme", 1, 2)]).await;
    for umask in ["000", "277"] {
        let script = format!("umask {umask}; exec \"$0\" migrate");
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_quotagraph")]).current_dir(site.path());
        let finished = run(command).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(std::fs::metadata(site.path().join("own.db")).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(site.path().join("own.db")).unwrap();
    }
}

#[tokio::test]
async fn a_tenants_file_that_is_empty_or_huge_or_no_file_is_refused_and_the_old_one_stays() {
    let site = Site::new("", &[tenant("acme", 1, 10)]).await;
    let tables = site.tables(&[tenant("acme", 1, 10)]);
    site.write("quotagraph.toml", "server.listen = \"127.0.0.1:0\"\ncollector.enabled = false\ntenants_file = \"tenants.toml\"\n");
    site.write("tenants.toml", &tables);
    let file = site.path().join("tenants.toml");
    let mut service = site.serve().await;
    let refusals = [
        ("is empty; for no tenants at all write tenants = []", "empty"),
        ("cannot be read: it is larger than 256 MiB", "huge"),
        ("cannot be read: it is a pipe, and must be a plain file", "pipe"),
        ("cannot be read: it is a folder, and must be a plain file", "folder"),
    ];
    for (sentence, what) in refusals {
        let _ = std::fs::remove_file(&file);
        match what {
            "empty" => std::fs::write(&file, " \n# nothing\n").unwrap(),
            "huge" => std::fs::File::create(&file).unwrap().set_len((256 << 20) + 1).unwrap(),
            "pipe" => assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success()),
            _ => std::fs::create_dir(&file).unwrap(),
        }
        service.process.signal("HUP");
        let line = service.process.stderr.line(sentence).await;
        assert!(line.contains("the tenants were not replaced; the former ones stay in force"), "{line}");
        assert_eq!(service.allocated("acme").await, answer(1.0), "{what}");
    }
    std::fs::remove_dir(&file).unwrap();
    site.write("tenants.toml", &tables);
    service.process.stderr.line("the tenants were replaced").await;
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn an_emptied_config_file_takes_no_tenant_away() {
    let site = Site::serving("collector.enabled = false", &[tenant("acme", 1, 10)]).await;
    let mut service = site.serve().await;
    site.write("quotagraph.toml", "");
    let line = service.process.stderr.line("the tenants were not replaced").await;
    assert!(line.contains("quotagraph.toml: is empty"), "{line}");
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_secret_is_read_without_a_byte_order_mark_and_odd_ones_are_warned_of() {
    let site = Site::serving("collector.enabled = false", &[tenant("acme", 1, 10), tenant("bolt", 2, 10)]).await;
    site.write("acme.secret", "\u{feff}secret of acme\r\n");
    site.write("bolt.secret", " secret of bolt\n");
    std::fs::set_permissions(site.path().join("acme.secret"), std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(site.path().join("bolt.secret"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut service = site.serve().await;
    let line = service.process.stderr.line("every user of this machine can read").await;
    assert!(line.contains("WARN") && line.contains("files=1") && line.contains("acme.secret"), "{line}");
    let line = service.process.stderr.line("begins or ends with spaces").await;
    assert!(line.contains("WARN") && line.contains("bolt.secret"), "{line}");
    assert_eq!(service.allocated("acme").await, answer(1.0));
    assert_eq!(service.allocated("bolt").await["errors"][0]["extensions"]["code"], "UPSTREAM_REJECTED", "blanks count");
    assert_eq!(service.terminate().await.code, Some(0));
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_warned_of() {
    for (begins, days, warning) in [
        (-9, -1, "the certificate has expired"),
        (-9, 10, "the certificate expires within 14 days"),
        (1, 30, "the certificate is not valid yet"),
        (-9, 30, ""),
    ] {
        let site = Site::serving(
            "collector.enabled = false\nserver.tls = { certificate_file = \"cert.pem\", key_file = \"key.pem\" }",
            &[tenant("acme", 1, 10)],
        )
        .await;
        let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(SystemClock.now().as_second()).unwrap());
        let in_days = |days: i64| {
            let off = std::time::Duration::from_hours(24 * days.unsigned_abs());
            if days < 0 { now - off } else { now + off }
        };
        (params.not_before, params.not_after) = (in_days(begins).into(), in_days(days).into());
        let key = rcgen::KeyPair::generate().unwrap();
        site.write("cert.pem", &params.self_signed(&key).unwrap().pem());
        site.write("key.pem", &key.serialize_pem());
        std::fs::set_permissions(site.path().join("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
        let finished = site.serve().await.terminate().await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        if warning.is_empty() {
            assert!(!finished.stderr.contains("the certificate "), "{finished:?}");
        } else {
            assert!(finished.stderr.contains(warning), "{finished:?}");
        }
        assert!(finished.stderr.contains("can read the key of the certificate"), "{finished:?}");
    }
}

#[tokio::test]
async fn a_config_with_a_password_that_others_can_read_is_warned_of() {
    let proxy = "upstream.proxy = \"http://user:hunter2@127.0.0.1:1\"";
    for (settings, mode, is_warned_of) in [(proxy, 0o644, true), (proxy, 0o640, false), ("", 0o644, false)] {
        let site = Site::new(settings, &[tenant("acme", 1, 10)]).await;
        let file = site.path().join("quotagraph.toml");
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
        let mut command = site.command(&["check"]);
        command.env("QUOTAGRAPH_LOG__FILTER", "warn");
        let finished = run(command).await;
        let warning = "every user of this machine can read; take that away with chmod o-r files=1 first=quotagraph.toml";
        assert_eq!(finished.stderr.contains(warning), is_warned_of, "{settings} {mode:o}: {finished:?}");
        assert!(!finished.stderr.contains("hunter2") && !finished.stdout.contains("hunter2"), "{finished:?}");
    }
}
