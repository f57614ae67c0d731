-- Views for analysts (docs/SQL.md), and which tenants a role may read through them.
--
-- The views run with the rights of their owner, so a role needs no right on any table. Each begins with the tenants that the current role may see and goes
-- on to each tenant's runs by itself: whatever a statement adds, and in whatever order it is carried out, no row of another tenant gets as far as
-- an expression of the caller's. Three things see to that. security_barrier keeps functions that may leak below nothing but our own conditions.
-- The materialized list lets no condition reach the tenants before they are chosen. And every subquery of runs ends in a step
-- (distinct on, limit, an aggregate) below which no condition on a value can go, so that not even the row counts of EXPLAIN
-- ANALYZE depend on it.

-- Who may read what. Written by `quotagraph migrate --with-analyst-role`, or by hand.
create table analyst_tenants (
    -- A role; its members inherit what it may read.
    role_name name not null,
    -- A tenant's id, or * for all.
    tenant_id text collate "C" not null,
    primary key (role_name, tenant_id)
);

-- The tenants that the current role may see: the owner of the tables and its members all of them. For the views below; granted to nobody.
create view visible_tenants with (security_barrier) as
with visible as materialized (
    select t.tenant_no, t.tenant_id, t.name, t.labels, t.space_types, t.holds_until
    from tenants t
    where (select pg_catalog.pg_has_role(current_user, c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = 'tenants'::regclass)
       or exists (
           select from analyst_tenants g join pg_catalog.pg_roles r on r.rolname = g.role_name
           where g.tenant_id = '*' and pg_catalog.pg_has_role(current_user, r.oid, 'usage')
       )
       or t.tenant_id in (
           select g.tenant_id from analyst_tenants g join pg_catalog.pg_roles r on r.rolname = g.role_name
           where pg_catalog.pg_has_role(current_user, r.oid, 'usage')
       )
)
select * from visible;

create view usage_tenants with (security_barrier) as
select tenant_id as tenant, name, labels from visible_tenants;

create view usage_runs with (security_barrier) as
select v.tenant_id as tenant, x.space_type, r.first_at as first_observed_at, r.last_at as last_observed_at,
       least(
           r.last_at + r.interval_s * interval '2.5 seconds',
           r.ended_at,
           (select n.first_at from space_runs n
            where n.tenant_no = v.tenant_no and n.space_type = x.space_type and n.first_at > r.first_at
            order by n.first_at limit 1)
       ) as holds_until,
       r.interval_s, r.samples as observations, r.allocated_gb, r.total_gb,
       r.allocated_gb / nullif(r.total_gb, 0)::double precision as utilization, r.ended_at
from visible_tenants v
cross join lateral unnest(v.space_types) as x (space_type)
-- first_at is unique here. What is distinct on it can be narrowed by it, and by nothing else.
cross join lateral (
    select distinct on (s.first_at) s.first_at, s.last_at, s.interval_s, s.samples, s.allocated_gb, s.total_gb, s.ended_at
    from space_runs s
    where s.tenant_no = v.tenant_no and s.space_type = x.space_type
    order by s.first_at
) r;

create view usage_latest with (security_barrier) as
select v.tenant_id as tenant, r.space_type, r.last_at as observed_at, r.last_at + r.interval_s * interval '2.5 seconds' as holds_until,
       r.interval_s, r.allocated_gb, r.total_gb, r.allocated_gb / nullif(r.total_gb, 0)::double precision as utilization
from visible_tenants v
cross join lateral (
    -- The newest answer is at the last instant that any run knows of. It lists the types that were last seen then.
    select n.*, max(coalesce(n.ended_at, n.last_at)) over () as answered_at
    from unnest(v.space_types) as x (space_type)
    cross join lateral (
        select s.* from space_runs s
        where s.tenant_no = v.tenant_no and s.space_type = x.space_type
        order by s.first_at desc limit 1
    ) n
) r
where r.last_at = r.answered_at;

create view usage_daily with (security_barrier) as
select v.tenant_id as tenant, x.space_type, d.day, d.start, d.start + interval '24 hours' <= now() as complete,
       coalesce(a.covered_s / extract(epoch from least(d.start + interval '24 hours', now()) - d.start), 0)::double precision as coverage,
       (a.allocated_gb_s / a.covered_s)::double precision as allocated_gb_average, a.allocated_gb_min, a.allocated_gb_max,
       (a.total_gb_s / a.covered_s)::double precision as total_gb_average, a.total_gb_min, a.total_gb_max,
       -- Rounding must not carry the mean of equal ratios beyond them.
       greatest(a.utilization_min, least(a.utilization_max, a.utilization_s / a.sized_s)) as utilization_average,
       a.utilization_min, a.utilization_max
from visible_tenants v
cross join lateral unnest(v.space_types) as x (space_type)
cross join lateral (
    select (f.first_at at time zone 'UTC')::date as first_day,
           (least(v.holds_until, now()) at time zone 'UTC' - interval '1 microsecond')::date as last_day
    from space_runs f
    where f.tenant_no = v.tenant_no and f.space_type = x.space_type
    order by f.first_at limit 1
) f
cross join lateral generate_series(0, f.last_day - f.first_day) as n (number)
cross join lateral (select f.first_day + n.number as day, (f.first_day + n.number)::timestamp at time zone 'UTC' as start) d
cross join lateral (
    select sum(p.seconds) as covered_s,
           sum(p.allocated_gb * p.seconds) as allocated_gb_s, min(p.allocated_gb) as allocated_gb_min, max(p.allocated_gb) as allocated_gb_max,
           sum(p.total_gb * p.seconds) as total_gb_s, min(p.total_gb) as total_gb_min, max(p.total_gb) as total_gb_max,
           sum(p.utilization * p.seconds::double precision) as utilization_s,
           sum(p.seconds::double precision) filter (where p.utilization is not null) as sized_s,
           min(p.utilization) as utilization_min, max(p.utilization) as utilization_max
    from (
        -- The part of the day in which each run's value holds.
        select r.allocated_gb, r.total_gb, r.allocated_gb / nullif(r.total_gb, 0)::double precision as utilization,
               extract(epoch from least(
                   r.last_at + r.interval_s * interval '2.5 seconds', r.ended_at, lead(r.first_at) over (order by r.first_at),
                   d.start + interval '24 hours', now()
               ) - greatest(r.first_at, d.start)) as seconds
        from (
            (select b.* from space_runs b
             where b.tenant_no = v.tenant_no and b.space_type = x.space_type and b.first_at <= d.start
             order by b.first_at desc limit 1)
            union all
            (select i.* from space_runs i
             where i.tenant_no = v.tenant_no and i.space_type = x.space_type
               and i.first_at > d.start and i.first_at < d.start + interval '24 hours')
        ) r
    ) p
    where p.seconds > 0
) a;

comment on view usage_tenants is 'The tenants that may be read, with their labels.';
comment on view usage_runs is 'One row is a run of equal consecutive samples of one space type; its value holds from first_observed_at until holds_until.';
comment on view usage_latest is 'The newest answer of each tenant: one row for each space type that it lists.';
comment on view usage_daily is 'One row is a tenant''s space type on a UTC day, from its first observation to the tenant''s newest; averages are weighted by time.';
