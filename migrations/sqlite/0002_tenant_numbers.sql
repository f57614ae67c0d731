-- Runs are keyed by the tenant's number instead of its id. The twin of the Postgres migration of the same name; it says why.

alter table tenants rename column ordinal to tenant_no;

-- One row is one run of equal consecutive samples of one space type. Without a rowid the table is its primary key's tree: a
-- tenant's runs of one type lie side by side, in order, and there is no second index to keep.
create table space_runs (
    tenant_no    integer not null references tenants (tenant_no),
    space_type   integer not null,
    first_at     integer not null,
    last_at      integer not null,
    -- The sampling interval in seconds. A value holds for 2.5 of these at most.
    interval_s   integer not null check (interval_s >= 1),
    samples      integer not null check (samples >= 1),
    -- In GB as the upstream counts.
    allocated_gb integer not null check (allocated_gb >= 0),
    total_gb     integer not null check (total_gb >= 0),
    -- The instant of the first sample after the run that no longer lists the type; null while it is listed or unknown.
    ended_at     integer,
    check (first_at <= last_at),
    check (ended_at > last_at),
    -- Serves everything: the neighbours of a sample, the newest run, ranges and pages, each type by itself.
    primary key (tenant_no, space_type, first_at)
) strict, without rowid;

insert into space_runs (tenant_no, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb, ended_at)
select t.tenant_no, s.space_type, s.first_at, s.last_at, s.interval_s, s.samples, s.allocated_gb, s.total_gb, s.ended_at
from space_snapshots s
join tenants t using (tenant_id)
order by t.tenant_no, s.space_type, s.first_at;

drop table space_snapshots;

-- The runs with their tenants' ids, for people and their tools. The service reads the table.
create view space_snapshots as
select t.tenant_id, r.space_type, r.first_at, r.last_at, r.interval_s, r.samples, r.allocated_gb, r.total_gb, r.ended_at
from space_runs r
join tenants t using (tenant_no);
