use super::*;
use jiff::tz::TimeZoneDatabase;
#[test]
fn scratch() {
    let mut bad = 0;
    for name in TimeZoneDatabase::bundled().available() {
        let tz = time_zone(name.as_str());
        let Ok(tz) = tz else {
            println!("refused {name}");
            continue;
        };
        let mut t = Timestamp::from_second(-6_000_000_000).unwrap();
        let end = Timestamp::from_second(4_000_000_000).unwrap();
        let mut prev: Option<Timestamp> = None;
        let mut min_len = i64::MAX;
        while let Some(n) = tz.following(t).next().map(|t| t.timestamp()) {
            if n > end {
                break;
            }
            if n <= t {
                println!("stuck {name} {t} {n}");
                break;
            }
            let b = tz.preceding(n).next().map(|t| t.timestamp());
            if b != prev {
                bad += 1;
                println!("{name}: before {n}: preceding {b:?} following-chain {prev:?}");
            }
            let o = tz.to_offset(n).seconds() - tz.to_offset(n - SignedDuration::from_secs(1)).seconds();
            if let Some(p) = prev {
                let len = n.as_second() - p.as_second();
                if len < min_len {
                    min_len = len;
                }
                if len < 86400 * 3 {
                    println!("{name} short {len} at {p} shift {o}");
                }
            }
            if o.abs() > 7200 * 2 {
                println!("{name} shift {o} at {n}");
            }
            if n.as_second() > 1420070400 && (n.as_second() % 900 != 0 || tz.to_offset(n).seconds() % 900 != 0) {
                println!("{name} odd at {n}");
            }
            prev = Some(n);
            t = n;
        }
    }
    println!("bad {bad}");
}
use jiff::SignedDuration;
