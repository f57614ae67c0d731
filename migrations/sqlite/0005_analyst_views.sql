-- Views for analysts (docs/SQL.md). The twin of the Postgres migration of the same name. There are no roles here: who can read the file reads all of it.
-- Instants are text in ISO 8601, such as 2026-03-01T00:00:00.000Z.

create view usage_tenants as
select tenant_id as tenant, name, labels from tenants;

create view usage_runs as
select t.tenant_id as tenant, r.space_type,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.first_at / 1000.0, 'unixepoch') as first_observed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.last_at / 1000.0, 'unixepoch') as last_observed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', min(
           r.last_at + r.interval_s * 2500,
           coalesce(r.ended_at, 9000000000000000),
           coalesce((select min(n.first_at) from space_runs n
                     where n.tenant_no = r.tenant_no and n.space_type = r.space_type and n.first_at > r.first_at), 9000000000000000)
       ) / 1000.0, 'unixepoch') as holds_until,
       r.interval_s, r.samples as observations, r.allocated_gb, r.total_gb,
       r.allocated_gb / cast(nullif(r.total_gb, 0) as real) as utilization,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.ended_at / 1000.0, 'unixepoch') as ended_at
from tenants t
join space_runs r using (tenant_no);

create view usage_latest as
select tenant, space_type,
       strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000.0, 'unixepoch') as observed_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', (last_at + interval_s * 2500) / 1000.0, 'unixepoch') as holds_until,
       interval_s, allocated_gb, total_gb, allocated_gb / cast(nullif(total_gb, 0) as real) as utilization
from (
    -- The newest answer is at the last instant that any run knows of. It lists the types that were last seen then.
    select t.tenant_id as tenant, r.*, max(coalesce(r.ended_at, r.last_at)) over (partition by t.tenant_id) as answered_at
    from tenants t
    cross join json_each(t.space_types) x
    cross join space_runs r
    where r.tenant_no = t.tenant_no and r.space_type = x.value
      and r.first_at = (select max(n.first_at) from space_runs n where n.tenant_no = t.tenant_no and n.space_type = x.value)
)
where last_at = answered_at;

create view usage_daily as
with recursive clock as materialized (
    select cast(round((julianday('now') - 2440587.5) * 86400000) as integer) as now_ms
), bounds as materialized (
    select min((select min(r.first_at) from space_runs r where r.tenant_no = t.tenant_no and r.space_type = x.value)) as first_at,
           min(max(t.holds_until), (select now_ms from clock)) as until
    from tenants t
    join json_each(t.space_types) x
), days (start_ms, day) as (
    select first_at - first_at % 86400000, date((first_at - first_at % 86400000) / 1000, 'unixepoch') from bounds where first_at < until
    union all
    select start_ms + 86400000, date(start_ms / 1000 + 86400, 'unixepoch') from days where start_ms + 86400000 < (select until from bounds)
), parts as (
    -- The part of the day in which each run's value holds.
    select t.tenant_id as tenant, r.space_type, d.day, d.start_ms, c.now_ms, r.allocated_gb, r.total_gb,
           r.allocated_gb / cast(nullif(r.total_gb, 0) as real) as utilization,
           max(0, min(
               r.last_at + r.interval_s * 2500,
               coalesce(r.ended_at, 9000000000000000),
               coalesce((select min(n.first_at) from space_runs n
                         where n.tenant_no = t.tenant_no and n.space_type = x.value and n.first_at > r.first_at), 9000000000000000),
               d.start_ms + 86400000,
               c.now_ms
           ) - max(r.first_at, d.start_ms)) as ms
    from clock c
    cross join tenants t
    cross join json_each(t.space_types) x
    cross join days d
    cross join space_runs r
    where d.start_ms < min(t.holds_until, c.now_ms)
      and r.tenant_no = t.tenant_no and r.space_type = x.value
      and r.first_at < d.start_ms + 86400000
      and r.first_at >= coalesce((select max(b.first_at) from space_runs b
                                  where b.tenant_no = t.tenant_no and b.space_type = x.value and b.first_at <= d.start_ms), d.start_ms)
)
select tenant, space_type, day, day || 'T00:00:00.000Z' as start, max(start_ms + 86400000 <= now_ms) as complete,
       sum(ms) * 1.0 / max(min(start_ms + 86400000, now_ms) - start_ms) as coverage,
       max(min(allocated_gb) filter (where ms > 0), min(max(allocated_gb) filter (where ms > 0),
           sum(allocated_gb * 1.0 * ms) / nullif(sum(ms), 0))) * 1.0 as allocated_gb_average,
       min(allocated_gb) filter (where ms > 0) as allocated_gb_min, max(allocated_gb) filter (where ms > 0) as allocated_gb_max,
       max(min(total_gb) filter (where ms > 0), min(max(total_gb) filter (where ms > 0),
           sum(total_gb * 1.0 * ms) / nullif(sum(ms), 0))) * 1.0 as total_gb_average,
       min(total_gb) filter (where ms > 0) as total_gb_min, max(total_gb) filter (where ms > 0) as total_gb_max,
       -- Rounding must not carry the mean of equal ratios beyond them.
       max(min(utilization) filter (where ms > 0), min(max(utilization) filter (where ms > 0),
           sum(utilization * ms) / nullif(sum(ms) filter (where utilization is not null), 0))) as utilization_average,
       min(utilization) filter (where ms > 0) as utilization_min, max(utilization) filter (where ms > 0) as utilization_max
from parts
group by tenant, space_type, day;
