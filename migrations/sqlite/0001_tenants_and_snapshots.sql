-- Tenants with their collection status, and the run-length history of their space. The twin of the Postgres migration of the
-- same name.
--
-- Instants are whole milliseconds since 1970 in UTC. As numbers they compare, subtract and index exactly and take 6 bytes, where
-- text would take 24; analysts write datetime(first_at / 1000, 'unixepoch'), or read the views that do.

create table tenants (
    -- The place in the order in which tenants were first seen. Schedules are spread by it.
    ordinal              integer primary key autoincrement,
    tenant_id            text    not null unique,
    name                 text    not null,
    -- {"key": "value"}, so that analysts write labels ->> 'region'.
    labels               text    not null default '{}',
    -- A JSON array of every type that the tenant ever had, so that the newest run of each is one descent of the tree.
    space_types          text    not null default '[]',
    -- Whether the config names the tenant. One that it no longer names keeps its history.
    collected            integer not null default 1 check (collected in (0, 1)),
    -- Null when the tenant is not collected.
    next_due_at          integer,
    -- Claimed by a collector until then, or until its observation is recorded.
    lease_until          integer,
    last_attempt_at      integer,
    last_success_at      integer,
    consecutive_failures integer not null default 0 check (consecutive_failures >= 0),
    failing              integer not null generated always as (consecutive_failures > 0) stored,
    last_error_code      text,
    last_error_message   text,
    last_error_at        integer
) strict;

-- Serves claim_due (due tenants, longest overdue first, failing ones apart) and earliest_due.
create index tenants_due on tenants (failing, next_due_at) where collected;

-- One row is one run of equal consecutive samples of one space type. Without a rowid the table is its primary key's tree: a
-- tenant's runs of one type lie side by side, in order, and there is no second index to keep.
create table space_snapshots (
    tenant_id    text    not null references tenants (tenant_id),
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
    primary key (tenant_id, space_type, first_at)
) strict, without rowid;
