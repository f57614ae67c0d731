-- The log of changes, which sums over many tenants are computed from (src/quota/fleet). It says what the runs say, by instant instead of
-- by tenant, and is kept in the same transactions.

-- Changes that are not packed yet. They add up, so that neither order nor key matters.
create table fleet_changes (
    at           timestamptz not null,
    -- By how much the carried value grows, in GB.
    allocated_gb bigint      not null,
    total_gb     bigint      not null,
    tenant_no    integer     not null,
    space_type   integer     not null,
    -- 1 where observations begin to cover the type, -1 where they cease to.
    held         integer     not null
);

-- Packed changes: one row is a UTC day, counted from 1970. The bytes are described in src/quota/fleet/day.rs.
create table fleet_days (
    day     integer primary key,
    -- Greater than any before it whenever a day is packed anew.
    version bigint  not null,
    changes bytea   not null
);
-- They are dense: an attempt to compress them would cost more than it gains.
alter table fleet_days alter column changes set storage external;

-- What all packed changes before a day add up to; one row for the first day of each month. The bytes: src/quota/fleet/opening.rs.
create table fleet_openings (
    day       integer primary key,
    standings bytea   not null
);
alter table fleet_openings alter column standings set storage external;

alter table tenants
    -- The newest sample's instant, and until when it holds: coverage ends there.
    add column last_observed_at timestamptz,
    add column holds_until      timestamptz;

-- What is recorded already.
with runs as (
    select tenant_no, space_type, first_at, allocated_gb, total_gb, ended_at,
           lead(first_at) over of_type as next_first_at,
           case when lag(ended_at) over of_type is null then coalesce(lag(allocated_gb) over of_type, 0) else 0 end as carried_allocated_gb,
           case when lag(ended_at) over of_type is null then coalesce(lag(total_gb) over of_type, 0) else 0 end as carried_total_gb,
           least(last_at + interval_s * interval '2.5 seconds', ended_at, lead(first_at) over of_type) as held_until
    from space_runs
    window of_type as (partition by tenant_no, space_type order by first_at)
), changes as (
    select first_at as at, allocated_gb - carried_allocated_gb as allocated_gb, total_gb - carried_total_gb as total_gb,
           tenant_no, space_type, 1 as held
    from runs
    union all
    select held_until, 0, 0, tenant_no, space_type, -1 from runs where next_first_at is not null or ended_at is not null
    union all
    select ended_at, -allocated_gb, -total_gb, tenant_no, space_type, 0 from runs where ended_at is not null
)
insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
select at, sum(allocated_gb)::bigint, sum(total_gb)::bigint, tenant_no, space_type, sum(held)::integer
from changes
group by at, tenant_no, space_type
having (sum(allocated_gb), sum(total_gb), sum(held)) <> (0, 0, 0);

update tenants t
set last_observed_at = n.last_at, holds_until = n.holds_until
from (
    select distinct on (tenant_no) tenant_no, last_at, last_at + interval_s * interval '2.5 seconds' as holds_until
    from space_runs
    order by tenant_no, last_at desc
) n
where t.tenant_no = n.tenant_no;
