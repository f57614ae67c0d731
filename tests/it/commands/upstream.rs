//! `check`, `fetch` and `sign` against the verifying simulator.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::tenant;
use crate::support::site::Site;
use crate::support::{postgres, process};

async fn two_tenants() -> Site {
    Site::new("", &[tenant("acme", 812, 2048), tenant("aurora-foods", 1, 3)]).await
}

#[tokio::test]
async fn the_version_says_what_it_is_built_from() {
    let site = two_tenants().await;
    let finished = site.run(&["--version"]).await;
    let version = finished.stdout.strip_prefix(&format!("quotagraph {} (", env!("CARGO_PKG_VERSION"))).unwrap();
    assert!(version == "a debug build)\n" || (version.starts_with("commit ") && version.contains(", built 20")), "{version}");
}

#[tokio::test]
async fn check_shows_a_row_for_each_tenant() {
    let site = two_tenants().await;
    let finished = site.run(&["check"]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    let rows: Vec<Vec<&str>> = finished.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["TENANT", "ALLOCATED", "GB", "TOTAL", "GB", "MS", "RESULT"]);
    assert_eq!((&rows[1][..3], rows[1][4]), (&["acme", "812", "2048"][..], "ok"));
    assert_eq!((&rows[2][..3], rows[2][4]), (&["aurora-foods", "1", "3"][..], "ok"));
    assert!(finished.stdout.ends_with("quotagraph.toml: the config is good; 2 of 2 calls succeeded\n"), "{}", finished.stdout);
    assert_eq!((site.simulator.hits(), site.upstream("acme").refused()), (2, 0));
}

#[tokio::test]
async fn check_says_in_its_row_what_is_wrong_with_a_tenant_and_goes_on() {
    let site = two_tenants().await;
    site.write("acme.secret", "another secret of acme");
    let finished = site.run(&["check"]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(1), ""), "{finished:?}");
    let row = finished.stdout.lines().find(|line| line.starts_with("acme ")).unwrap();
    let refusal =
        "refused: HTTP 400, APIGW.0303: \"Incorrect app authentication information: the signature does not match the request\"";
    assert!(row.contains(&format!("{refusal}; is the secret right?; X-Traceid ")), "{row}");
    let trace_id = site.upstream("acme").requests()[0].trace_id.clone().unwrap();
    assert!(row.ends_with(&format!(" X-Traceid {trace_id}")), "{row}");
    assert!(
        finished.stdout.contains("aurora-foods") && finished.stdout.ends_with("1 of 2 calls succeeded\n"),
        "{}",
        finished.stdout
    );
}

#[tokio::test]
async fn check_repeats_what_the_gateway_says_and_hints_by_its_code() {
    let site = two_tenants().await;
    let config = std::fs::read_to_string(site.path().join("quotagraph.toml")).unwrap();
    site.write("bad.toml", &config.replacen("user_id = \"", "user_id = \"9", 1));
    let finished = site.run(&["check", "--config", "bad.toml"]).await;
    let refusal = "APIGW.0301: \"Incorrect authentication information: X-User-Id is not a user of this credential\"";
    assert!(
        finished.stdout.contains(&format!("{refusal}; are app_id or the token, and user_id right?; X-Traceid ")),
        "{finished:?}"
    );

    site.upstream("acme").set_behaviour(serde_json::from_value(json!({ "status": 404 })).unwrap()).unwrap();
    let finished = site.run(&["check"]).await;
    let refusal = "refused: HTTP 404, APIGW.0101: \"The simulator was told to fail.\"; X-Traceid ";
    assert!(finished.stdout.contains(refusal), "{finished:?}");
}

#[tokio::test]
async fn check_fails_where_serve_would_not_start_and_makes_no_database() {
    let site = two_tenants().await;
    let config = std::fs::read_to_string(site.path().join("quotagraph.toml")).unwrap();
    let mut missing = reqwest::Url::parse(&postgres::database().await.url).unwrap();
    let mut stranger = missing.clone();
    missing.set_path("/nosuch");
    stranger.set_username("stranger").unwrap();
    std::fs::create_dir(site.path().join("folder.db")).unwrap();
    for (settings, sentence) in [
        ("server.tls = { certificate_file = \"c.pem\", key_file = \"k.pem\" }", "server.tls: c.pem cannot be read: "),
        ("database.url = \"sqlite:nowhere/q.db\"", "the database file nowhere/q.db cannot be opened: its folder must exist"),
        ("database.url = \"sqlite:folder.db\"", "the database file folder.db is a folder: name a file"),
        ("database.url = \"sqlite:bad.toml\"", "the file bad.toml is no SQLite database"),
        ("database.migrate = false", "there is no database file /"),
        (&format!("database.url = \"{missing}\""), "database \"nosuch\" does not exist: create it"),
        (&format!("database.url = \"{stranger}\""), "role \"stranger\" does not exist: look at the user and the password"),
        (
            "database.url = \"postgres://quota:hunter2@127.0.0.1:1/x\"\ndatabase.acquire_timeout = \"500ms\"",
            "the database connection failed: ",
        ),
    ] {
        site.write("bad.toml", &format!("{settings}\n{config}"));
        let finished = site.run(&["check", "--config", "bad.toml"]).await;
        assert!(finished.sentence().starts_with(sentence), "{settings}: {finished:?}");
        assert!(!finished.stderr.contains("hunter2"), "{finished:?}");
    }
    assert_eq!(site.run(&["check"]).await.code, Some(0));
    let made = std::fs::read_dir(site.path())
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("quotagraph.db"));
    assert!(!made, "check makes no database");

    assert_eq!(site.run(&["migrate"]).await.code, Some(0));
    site.write("migrated.toml", &format!("database.migrate = false\n{config}"));
    assert_eq!(site.run(&["check", "--config", "migrated.toml"]).await.code, Some(0));
}

#[tokio::test]
async fn check_warns_of_secrets_and_keys_as_serve_does() {
    let site = two_tenants().await;
    let config = std::fs::read_to_string(site.path().join("quotagraph.toml")).unwrap();
    let key = format!("[[auth.keys]]\nname = \"portal\"\nsha256 = \"{}\"\n", "0".repeat(64));
    let auth = format!("[auth]\nmode = \"keys\"\n{key}tenants = [\"acme\", \"acem\"]\nroles = [\"READ\"]\n");
    site.write("quotagraph.toml", &format!("{auth}{config}"));
    site.write("acme.secret", "another secret of acme \n");
    let finished = process::run(site.command(&["check"])).await;
    assert_eq!((finished.code, finished.stderr.lines().count()), (Some(1), 2), "{finished:?}");
    assert!(finished.stderr.contains("a secret begins or ends with spaces"), "{finished:?}");
    let unknown = "an API key names a tenant that the config does not have (auth.keys) key=portal tenant=acem\n";
    assert!(finished.stderr.contains(unknown), "{finished:?}");
}

#[tokio::test]
async fn a_bad_config_is_one_sentence_with_field_and_mend() {
    let site = two_tenants().await;
    for (text, sentence) in [
        ("collector.interval = \"0s\"", "bad.toml: collector.interval: must be between 1 s and 1 day, found 0 s"),
        ("server.listen = \"0.0.0.0:80\"", "bad.toml: server.listen: 0.0.0.0:80 can be reached from other machines"),
        (
            "server.listen = \"nosuch.invalid:80\"",
            "bad.toml: server.listen: nosuch.invalid:80 cannot be listened on, since its name has no address: ",
        ),
        ("sever.listen = \"127.0.0.1:80\"", "bad.toml: sever: is not known; known are "),
        ("a = ", "bad.toml: line 1: this is no TOML; is a value missing?"),
        ("[log\n", "bad.toml: line 1: invalid table header"),
    ] {
        site.write("bad.toml", text);
        for command in [&["check"][..], &["serve"], &["fetch", "acme"], &["simulate"]] {
            let finished = site.run(&[command, &["--config", "bad.toml"]].concat()).await;
            assert!(finished.sentence().starts_with(sentence), "{finished:?}");
        }
    }
    site.write("bad.toml", "");
    assert!(site.run(&["check", "--config", "bad.toml"]).await.sentence().contains("has no tenants: add a [[tenants]] table"));
    let mut command = site.command(&["check"]);
    command.env("QUOTAGRAPH_UPSTREAM__RETRIES", "11");
    let finished = crate::support::process::run(command).await;
    assert_eq!(finished.sentence(), "QUOTAGRAPH_UPSTREAM__RETRIES: must be between 0 and 10, found 11");
}

#[tokio::test]
async fn a_secret_that_is_missing_is_named_by_its_reference() {
    let site = two_tenants().await;
    std::fs::remove_file(site.path().join("acme.secret")).unwrap();
    for args in [&["check"][..], &["serve"], &["sign", "aurora-foods"]] {
        let finished = site.run(args).await;
        assert!(
            finished.sentence().starts_with("quotagraph.toml: tenant acme: auth.app_secret_file: acme.secret cannot be read"),
            "{finished:?}"
        );
    }
}

#[tokio::test]
async fn fetch_prints_the_answer_as_json() {
    let site = two_tenants().await;
    let finished = site.run(&["fetch", "acme"]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    let mut answer: Value = serde_json::from_str(&finished.stdout).unwrap();
    let observed_at = answer["observedAt"].take();
    assert!(observed_at.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{observed_at}");
    let by_type = json!([{ "spaceType": 0, "allocatedGb": 812, "totalGb": 2048 }]);
    assert_eq!(
        answer,
        json!({
            "tenant": "acme", "observedAt": null, "allocatedGb": 812, "totalGb": 2048, "utilization": 0.396_484_375, "byType": by_type
        })
    );
}

#[tokio::test]
async fn fetch_says_why_there_is_no_answer() {
    let site = two_tenants().await;
    let failing = serde_json::from_value(json!({ "code": 13_000_301 })).unwrap();
    site.upstream("acme").set_behaviour(failing).unwrap();
    let finished = site.run(&["fetch", "acme"]).await;
    assert_eq!(finished.stdout, "");
    assert!(finished.sentence().starts_with("acme: business error 13000301: The simulator was told to fail."), "{finished:?}");
}

#[tokio::test]
async fn an_unknown_tenant_is_a_sentence() {
    let site = two_tenants().await;
    for command in ["fetch", "sign"] {
        let finished = site.run(&[command, "acne"]).await;
        assert_eq!(finished.sentence(), "there is no tenant acne in quotagraph.toml (it has 2); `quotagraph check` lists them");
    }
    assert_eq!(site.simulator.hits(), 0);
}

#[tokio::test]
async fn the_headers_that_sign_prints_are_accepted() {
    let site = two_tenants().await;
    let finished = site.run(&["sign", "acme"]).await;
    assert_eq!((finished.code, site.simulator.hits()), (Some(0), 0), "{finished:?}");
    let url = finished.stderr.split('\'').find(|part| part.starts_with("http://")).unwrap();
    let url: reqwest::Url = url.parse().unwrap();
    assert!(finished.stderr.contains("quotagraph sign acme | curl -H @- "), "{}", finished.stderr);

    let mut request = format!("GET {} HTTP/1.1\r\nConnection: close\r\n", url.path());
    for line in finished.stdout.lines() {
        request.extend([line, "\r\n"]);
    }
    request.push_str("\r\n");
    let mut connection = TcpStream::connect(site.simulator.addr()).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"totalCapacity\":2048"), "{answer}");
}

#[tokio::test]
async fn sums_beyond_64_bits_are_printed_to_the_digit() {
    let mut acme = tenant("acme", i64::MAX, i64::MAX);
    let widest = acme.values[0];
    acme.values.extend([1, 2].map(|space_type| quotagraph::quota::SpaceTypeAllocation { space_type, ..widest }));
    let site = Site::new("", &[acme]).await;
    let finished = site.run(&["fetch", "acme"]).await;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
    for part in [
        "\"allocatedGb\": 27670116110564327421,",
        "\"totalGb\": 27670116110564327421,",
        "\"utilization\": 1.0,",
        "\"allocatedGb\": 9223372036854775807,",
    ] {
        assert!(finished.stdout.contains(part), "{part} is missing in {}", finished.stdout);
    }
    let finished = site.run(&["check"]).await;
    assert!(finished.code == Some(0) && finished.stdout.contains(" 27670116110564327421 "), "{finished:?}");
}
