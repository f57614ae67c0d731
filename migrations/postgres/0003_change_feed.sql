-- The observed changes of tenants' newest answers, in the order of their recording: what subscriptions read.
--
-- One row is one answer that differs from the tenant's newest one before it. Late samples, equal ones and added runs leave no row. Rows
-- are removed after a while, the newest one never; what was removed is derived from the runs.
create table space_changes (
    -- The place in the order, to the microsecond: the observation's instant, or just after the place before it where that is later. Given
    -- under a lock that is held until the commit, so whoever has read up to a place misses nothing before it.
    recorded_at  timestamptz primary key,
    observed_at  timestamptz not null,
    -- When the answer before was last observed; null, as its types, for a tenant's first answer.
    before_at    timestamptz,
    tenant_no    integer     not null references tenants (tenant_no),
    -- [[type, allocated_gb, total_gb], …]
    before_types jsonb,
    after_types  jsonb       not null
);

-- Serves subscriptions to one tenant that go on after a while.
create index space_changes_of_tenant on space_changes (tenant_no, recorded_at);
