-- What was imported, so that it can be taken back.

-- One row is one import.
create table imports (
    import_id   bigint      generated always as identity primary key,
    imported_at timestamptz not null,
    -- When it was taken back; null while it is in force.
    undone_at   timestamptz,
    -- The name of the file, for people.
    source      text        not null
);

-- One row is a run that an import took away (not is_added) or left instead (is_added). They go when the import is taken back.
create table import_runs (
    import_id    bigint      not null references imports,
    first_at     timestamptz not null,
    last_at      timestamptz not null,
    -- In GB as the upstream counts.
    allocated_gb bigint      not null,
    total_gb     bigint      not null,
    ended_at     timestamptz,
    tenant_no    integer     not null references tenants (tenant_no),
    space_type   integer     not null,
    -- In seconds.
    interval_s   integer     not null,
    samples      integer     not null,
    is_added     boolean     not null,
    -- Serves the undo, which goes tenant by tenant.
    primary key (import_id, tenant_no, is_added, space_type, first_at)
);
