//! The types of the schema, one file per subject.

mod allocation;
mod change;
mod collection;
mod fleet;
mod fleet_allocation;
mod forecast;
mod forecast_points;
mod growth;
mod page;
mod points;
mod ranking;
mod snapshot;
mod tenant;
mod tenants;
mod unit;
mod usage;
mod usage_point;
mod written;

pub use allocation::{OnFailure, SpaceAllocation, SpaceTypeAllocation};
pub use change::SpaceAllocationChange;
pub use collection::CollectionStatus;
pub use fleet::Fleet;
pub use forecast::{Forecast, ForecastRequest};
pub use growth::Growth;
pub use page::{DEFAULT_PAGE, Page, PageInfo};
pub use snapshot::SnapshotConnection;
pub use tenant::Tenant;
pub use tenants::{TenantConnection, TenantFilter, TenantOrder, list as list_tenants};
pub use unit::StorageUnit;
pub use usage::UsageSeries;
pub use usage_point::UsagePoint;
