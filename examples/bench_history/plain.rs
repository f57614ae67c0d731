//! What plain SQL over one row for each sample takes, of a part of the tenants.

use std::process::{Command, Stdio};
use std::time::Instant;

use jiff::Timestamp;

use crate::export::finish;
use crate::load::History;
use crate::report::{self, Target};
use crate::{Failed, execute, number};

const FILL: &str = "
create table plain_samples (
    tenant_id    text        not null,
    space_type   integer     not null,
    observed_at  timestamptz not null,
    allocated_gb bigint      not null,
    total_gb     bigint      not null,
    primary key (tenant_id, space_type, observed_at)
);
insert into plain_samples
select s.tenant_id, s.space_type, x.at, s.allocated_gb, s.total_gb
from space_snapshots s
cross join generate_series(s.first_at, s.last_at, s.interval_s * interval '1 second') as x (at)";

/// A sample of each tenant after the others.
const ROUND: &str = "
insert into plain_samples
select tenant_id, 0, timestamptz '2100-01-01', 1, 1 from tenants";

/// Measures and prints.
pub(crate) async fn measure(database: &str, history: &History, tenants: u32) -> Result<(), Failed> {
    let (from, to) = (history.from, history.to);
    let last = history.tenants.get(tenants as usize).map_or("~", |tenant| tenant.id.as_str());
    execute(database, &format!("{FILL} where s.tenant_id < '{last}' and s.first_at < '{to}'; analyze plain_samples")).await?;
    println!("\nplain SQL over one row for each sample, {tenants} tenants:");
    let size = number(database, "select pg_total_relation_size('plain_samples')::float8").await? / 1e9;
    report::print("size of the table", "GB", 2, &[size], Target::None);
    let days = |of: &str| series(of, "day", from);
    let one = history.tenants[0].id.as_str();
    let of_one = format!("tenant_id = '{one}' and");
    report::print("one tenant, a year in days", "ms", 1, &times(database, &days(&of_one)).await?, Target::None);
    report::print("one tenant, a year in hours", "ms", 1, &times(database, &series(&of_one, "hour", from)).await?, Target::None);
    report::print("all of them, a year in days", "ms", 1, &times(database, &days("")).await?, Target::None);
    let groups = format!(
        "select avg(a) from (select labels ->> 'region', date_trunc('month', observed_at), sum(allocated_gb)::float8 as a \
         from plain_samples join tenants using (tenant_id) where observed_at >= '{from}' group by 1, 2) g"
    );
    report::print("all of them by a label, a year in months", "ms", 1, &times(database, &groups).await?, Target::None);
    let growth = format!(
        "select max(g)::float8 from (select tenant_id, (array_agg(allocated_gb order by observed_at desc))[1] \
         - (array_agg(allocated_gb order by observed_at))[1] as g from plain_samples \
         where observed_at >= timestamptz '{to}' - interval '30 days' group by 1) x"
    );
    report::print("those that grew most in 30 days", "ms", 1, &times(database, &growth).await?, Target::None);
    let newest = "select max(u)::float8 from (select distinct on (tenant_id, space_type) allocated_gb::float8 / nullif(total_gb, 0) as u \
         from plain_samples order by tenant_id, space_type, observed_at desc) x";
    report::print("those that use most of what they have", "ms", 1, &times(database, newest).await?, Target::None);
    let copied = copy(database).await?;
    report::print("all samples by psql \\copy, sorted by tenant", "s", 1, &[copied], Target::None);
    let started = Instant::now();
    execute(database, &format!("{ROUND} where tenant_id < '{last}'")).await?;
    let added = started.elapsed().as_secs_f64() * 1000.0;
    report::print("one more sample of each, committed", "ms", 1, &[added], Target::None);
    execute(database, "drop table plain_samples").await
}

/// The seconds that it takes to write all rows to nowhere.
async fn copy(database: &str) -> Result<f64, Failed> {
    let copy = "\\copy (select * from plain_samples order by tenant_id, space_type, observed_at) to '/dev/null'";
    let copy = Command::new("psql").args(["-X", "-q", "-d", database, "-c", copy]).stdout(Stdio::null()).spawn()?;
    Ok(finish(copy).await?.0)
}

/// The mean over the tenants' sum, which is right only because no sample is missing here.
fn series(of: &str, bucket: &str, from: Timestamp) -> String {
    format!(
        "select avg(a) from (select date_trunc('{bucket}', observed_at), sum(allocated_gb)::float8 / count(distinct observed_at) as a, \
         min(allocated_gb), max(allocated_gb) from plain_samples where {of} observed_at >= '{from}' group by 1) b"
    )
}

async fn times(database: &str, sql: &str) -> Result<Vec<f64>, Failed> {
    let mut times = Vec::new();
    for _ in 0..3 {
        let started = Instant::now();
        number(database, sql).await?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(times)
}
