//! The domain: tenants, allocations, runs of equal samples, and what is computed from them. Pure: no I/O, no clock.

mod allocation;
pub mod calendar;
mod changes;
pub mod fleet;
pub mod forecast;
pub mod growth;
mod instant;
mod interval;
mod period;
pub mod recording;
pub mod retention;
mod run;
mod tenant;
mod unit;
pub mod usage;

pub use allocation::{MAX_SPACE_TYPES, MAX_SPACE_TYPES_EVER, Sample, SpaceAllocation, SpaceTypeAllocation, utilization};
pub use changes::{Change, changes};
pub use instant::parse_instant;
pub use interval::{Interval, InvalidInterval};
pub use period::{InvalidPeriod, Period};
pub use run::{Run, TimeRange};
pub use tenant::{InvalidTenantId, Label, Tenant, TenantId};
pub use unit::StorageUnit;
