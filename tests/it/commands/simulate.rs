//! `simulate`.

use crate::support::app::tenant;
use crate::support::process::{Running, quotagraph, run};
use crate::support::site::{Site, client};

#[tokio::test]
async fn without_a_config_it_prints_one_with_which_check_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let mut simulator = Running::start(quotagraph(folder.path(), &["simulate", "--listen", "127.0.0.1:0", "--tenants", "12"]));
    let printed =
        simulator.stdout.until("the secrets", |text| text.matches("export ").count() == 12 && text.ends_with("\n\n")).await;
    let (_, rest) = printed.split_once("A quotagraph.toml for them:\n").unwrap();
    let (config, secrets) = rest.split_once("and their secrets, for the shell that runs it:\n").unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("quotagraph.toml"), config).unwrap();
    let mut check = quotagraph(elsewhere.path(), &["check"]);
    for (name, value) in secrets.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')) {
        check.env(name, value);
    }
    let finished = run(check).await;
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(finished.stdout.ends_with("12 of 12 calls succeeded\n"), "{}", finished.stdout);

    simulator.signal("INT");
    assert_eq!(simulator.end().await.code, Some(0));
}

#[tokio::test]
async fn with_a_config_it_plays_the_upstream_of_its_tenants_and_can_be_told_to_fail() {
    let tenants = [tenant("acme", 1, 2), tenant("aurora-foods", 1, 2)];
    let site = Site::new("", &tenants).await;
    let mut command = Running::start(site.command(&["simulate", "--config", "quotagraph.toml", "--listen", "127.0.0.1:0"]));
    let line = command.stdout.line("simulated KooDrive with 2 tenants on http://").await;
    let base = line.trim_end().rsplit_once(' ').unwrap().1;
    let config = site.tables(&tenants).replace(site.simulator.endpoint().as_str(), base);
    site.write("check.toml", &config);
    let finished = site.run(&["check", "--config", "check.toml"]).await;
    assert!(finished.stdout.ends_with("2 of 2 calls succeeded\n"), "{finished:?}");
    assert_eq!(site.simulator.hits(), 0, "the command answered");

    let behaviour = r#"{"status": 404}"#;
    let told = client().put(format!("{base}/simulator/tenants/acme")).body(behaviour).send().await.unwrap();
    assert_eq!(told.status(), 200);
    let finished = site.run(&["check", "--config", "check.toml"]).await;
    assert!(finished.stdout.contains("refused: HTTP 404") && finished.stdout.ends_with("1 of 2 calls succeeded\n"), "{finished:?}");
    command.signal("TERM");
    let finished = command.end().await;
    assert_eq!(finished.code, Some(0));
    assert!(!finished.stdout.contains("secret of") && !finished.stderr.contains("secret of"), "{finished:?}");
}

#[tokio::test]
async fn a_taken_port_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = run(quotagraph(folder.path(), &["simulate", "--listen", &address])).await;
    let sentence = finished.sentence();
    assert!(sentence.starts_with(&format!("cannot simulate on {address}: ")), "{sentence}");
    assert!(sentence.ends_with("choose another address with --listen"), "{sentence}");
}
