-- The observed changes of tenants' newest answers, in the order of their recording: what subscriptions read. The twin of the Postgres
-- migration of the same name; it says more.

create table space_changes (
    -- The place in the order, in microseconds since 1970.
    recorded_at  integer primary key,
    tenant_no    integer not null references tenants (tenant_no),
    observed_at  integer not null,
    -- When the answer before was last observed; null, as its types, for a tenant's first answer.
    before_at    integer,
    -- [[type, allocated_gb, total_gb], …]
    before_types text,
    after_types  text    not null
) strict;

-- Serves subscriptions to one tenant that go on after a while; the place is a part of every index.
create index space_changes_of_tenant on space_changes (tenant_no);
