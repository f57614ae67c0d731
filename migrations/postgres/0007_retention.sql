-- Up to where a tenant's history has been thinned (src/quota/retention.rs): the start of a UTC day. Null when none of it has.
alter table tenants add column thinned_until timestamptz;
