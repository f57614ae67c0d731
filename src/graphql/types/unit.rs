//! Units of storage in the API.

use async_graphql::Enum;

use crate::quota;

/// Binary multiples: 1 KB is 1024 bytes, 1 GB is 1024 MB. The upstream counts in GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "quota::StorageUnit")]
pub enum StorageUnit {
    /// Bytes.
    Byte,
    /// 1024 bytes.
    Kb,
    /// 1024 KB.
    Mb,
    /// 1024 MB; what the upstream counts in.
    Gb,
    /// 1024 GB.
    Tb,
    /// 1024 TB.
    Pb,
}

impl StorageUnit {
    /// Whole GB in this unit; exact below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "GraphQL hands out Float, exact below 2^53")]
    pub fn convert(self, gb: i128) -> f64 {
        self.convert_gb(gb as f64)
    }

    /// Fractional GB, such as an average, in this unit.
    pub fn convert_gb(self, gb: f64) -> f64 {
        quota::StorageUnit::from(self).convert_gb(gb)
    }
}
