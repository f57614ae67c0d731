-- The log of changes, which sums over many tenants are computed from. The twin of the Postgres migration of the same name; it says more.

-- Changes that are not packed yet.
create table fleet_changes (
    at           integer not null,
    -- By how much the carried value grows, in GB.
    allocated_gb integer not null,
    total_gb     integer not null,
    tenant_no    integer not null,
    space_type   integer not null,
    -- 1 where observations begin to cover the type, -1 where they cease to.
    held         integer not null
) strict;

-- Packed changes: one row is a UTC day, counted from 1970. The bytes are described in src/quota/fleet/day.rs.
create table fleet_days (
    day     integer primary key,
    -- Greater than any before it whenever a day is packed anew.
    version integer not null,
    changes blob    not null
) strict;

-- What all packed changes before a day add up to; one row for the first day of each month. The bytes: src/quota/fleet/opening.rs.
create table fleet_openings (
    day       integer primary key,
    standings blob    not null
) strict;

-- The newest sample's instant, and until when it holds: coverage ends there.
alter table tenants add column last_observed_at integer;
alter table tenants add column holds_until integer;

-- What is recorded already.
with runs as (
    select tenant_no, space_type, first_at, allocated_gb, total_gb, ended_at,
           lead(first_at) over of_type as next_first_at,
           case when lag(ended_at) over of_type is null then coalesce(lag(allocated_gb) over of_type, 0) else 0 end as carried_allocated_gb,
           case when lag(ended_at) over of_type is null then coalesce(lag(total_gb) over of_type, 0) else 0 end as carried_total_gb,
           min(last_at + interval_s * 2500, coalesce(ended_at, 9e15), coalesce(lead(first_at) over of_type, 9e15)) as held_until
    from space_runs
    window of_type as (partition by tenant_no, space_type order by first_at)
), changes as (
    select first_at as at, allocated_gb - carried_allocated_gb as allocated_gb, total_gb - carried_total_gb as total_gb,
           tenant_no, space_type, 1 as held
    from runs
    union all
    select cast(held_until as integer), 0, 0, tenant_no, space_type, -1 from runs where next_first_at is not null or ended_at is not null
    union all
    select ended_at, -allocated_gb, -total_gb, tenant_no, space_type, 0 from runs where ended_at is not null
)
insert into fleet_changes (at, allocated_gb, total_gb, tenant_no, space_type, held)
select at, sum(allocated_gb), sum(total_gb), tenant_no, space_type, sum(held)
from changes
group by at, tenant_no, space_type
having (sum(allocated_gb), sum(total_gb), sum(held)) <> (0, 0, 0);

update tenants
set last_observed_at = n.last_at, holds_until = n.holds_until
from (
    -- A bare column beside max() comes from the row that has it.
    select tenant_no, max(last_at) as last_at, last_at + interval_s * 2500 as holds_until from space_runs group by tenant_no
) n
where tenants.tenant_no = n.tenant_no;
