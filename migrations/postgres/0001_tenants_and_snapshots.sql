-- Tenants with their collection status, and the run-length history of their space.
--
-- Ids and codes are plain ASCII: collation "C" compares bytes, which is faster than a language's rules and the same everywhere.

create table tenants (
    -- The place in the order in which tenants were first seen. Schedules are spread by it.
    ordinal              bigint generated always as identity,
    -- Null when the tenant is not collected.
    next_due_at          timestamptz,
    -- Claimed by a collector until then, or until its observation is recorded.
    lease_until          timestamptz,
    last_attempt_at      timestamptz,
    last_success_at      timestamptz,
    last_error_at        timestamptz,
    consecutive_failures integer     not null default 0 check (consecutive_failures >= 0),
    -- Whether the config names the tenant. One that it no longer names keeps its history.
    collected            boolean     not null default true,
    failing              boolean     not null generated always as (consecutive_failures > 0) stored,
    tenant_id            text        collate "C" primary key,
    name                 text        not null,
    -- {"key": "value"}, so that analysts write labels ->> 'region'.
    labels               jsonb       not null default '{}',
    -- Every type that the tenant ever had, so that the newest run of each is one descent of the index.
    space_types          integer[]   not null default '{}',
    last_error_code      text        collate "C",
    last_error_message   text
) with (fillfactor = 70); -- rows are rewritten at each attempt; the room keeps the claims (lease_until only) off the indexes

-- Serves claim_due (due tenants, longest overdue first, failing ones apart) and earliest_due.
create index tenants_due on tenants (failing, next_due_at) where collected;

-- One row is one run of equal consecutive samples of one space type.
--
-- Columns stand by width, eight bytes first, so that no padding is stored: a row of a tenant with an id of up to 11 characters
-- takes 88 bytes. The counts are 32 bits wide: 2^31 samples at one a second are 68 years.
--
-- Only the newest run of a type is rewritten, when an equal sample extends it. No index holds what changes then, so this is a
-- heap-only update wherever the page has room for one more version of the row. 97 leaves room for two of some 87 rows. More would
-- not pay: a page cleans itself of dead versions when it is next touched, and all of its older rows never change again.
create table space_snapshots (
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    -- In GB as the upstream counts.
    allocated_gb bigint      not null check (allocated_gb >= 0),
    total_gb     bigint      not null check (total_gb >= 0),
    -- The instant of the first sample after the run that no longer lists the type; null while it is listed or unknown.
    ended_at     timestamptz,
    space_type   integer     not null,
    -- The sampling interval in seconds. A value holds for 2.5 of these at most.
    interval_s   integer     not null check (interval_s >= 1),
    samples      integer     not null check (samples >= 1),
    tenant_id    text        collate "C" not null references tenants,
    check (first_at <= last_at),
    check (ended_at > last_at),
    -- Serves everything: the neighbours of a sample, the newest run, ranges and pages, each type by itself.
    primary key (tenant_id, space_type, first_at)
) with (fillfactor = 97);
