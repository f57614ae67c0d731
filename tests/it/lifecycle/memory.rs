//! What the process of the service holds in the long run.

use crate::support::app::tenant;
use crate::support::site::Site;

/// What the process of the service holds, in KiB.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn answers_leave_nothing_behind() {
    let site = Site::serving("server.default_tenant = \"acme\"", &[tenant("acme", 812, 2048)]).await;
    let service = site.serve().await;
    // Each asks for a series of 9,000 points, for its coverage alone.
    let ask = async |round: i64| {
        let from = jiff::Timestamp::from_second(1_767_225_600 + round).unwrap();
        let to = from + jiff::SignedDuration::from_hours(9000);
        let query = format!("{{ tenant {{ usageOverTime(from: \"{from}\", to: \"{to}\", interval: \"PT1H\") {{ coverage }} }} }}");
        let answer = service.ask(&query).await;
        assert!(answer["data"]["tenant"]["usageOverTime"]["coverage"].is_number(), "{query}: {answer}");
    };
    for round in 0..50 {
        ask(round).await;
    }
    let before = resident_kib(service.process.pid());
    for round in 50..250 {
        ask(round).await;
    }
    let grown = resident_kib(service.process.pid()).saturating_sub(before);
    assert!(grown < 20 * 1024, "{grown} KiB more");
    assert_eq!(service.terminate().await.code, Some(0));
}
