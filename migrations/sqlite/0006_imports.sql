-- What was imported, so that it can be taken back. The twin of the Postgres migration of the same name.

-- One row is one import.
create table imports (
    import_id   integer primary key autoincrement,
    imported_at integer not null,
    -- When it was taken back; null while it is in force.
    undone_at   integer,
    -- The name of the file, for people.
    source      text    not null
) strict;

-- One row is a run that an import took away (not is_added) or left instead (is_added). They go when the import is taken back.
create table import_runs (
    import_id    integer not null references imports,
    tenant_no    integer not null references tenants (tenant_no),
    is_added     integer not null check (is_added in (0, 1)),
    space_type   integer not null,
    first_at     integer not null,
    last_at      integer not null,
    -- In seconds.
    interval_s   integer not null,
    samples      integer not null,
    -- In GB as the upstream counts.
    allocated_gb integer not null,
    total_gb     integer not null,
    ended_at     integer,
    -- Serves the undo, which goes tenant by tenant.
    primary key (import_id, tenant_no, is_added, space_type, first_at)
) strict, without rowid;
