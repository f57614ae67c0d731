//! Units of storage.

/// Binary multiples: 1 KB is 1024 bytes, 1 GB is 1024 MB. The upstream counts in GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StorageUnit {
    /// 2^0 bytes.
    Byte,
    /// 2^10 bytes.
    Kb,
    /// 2^20 bytes.
    Mb,
    /// 2^30 bytes.
    Gb,
    /// 2^40 bytes.
    Tb,
    /// 2^50 bytes.
    Pb,
}

impl StorageUnit {
    /// Converts from GB by a power of two: exact, since only the exponent changes.
    #[must_use]
    pub fn convert_gb(self, gb: f64) -> f64 {
        gb * match self {
            Self::Byte => 1_073_741_824.0,
            Self::Kb => 1_048_576.0,
            Self::Mb => 1024.0,
            Self::Gb => 1.0,
            Self::Tb => 1.0 / 1024.0,
            Self::Pb => 1.0 / 1_048_576.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::StorageUnit;

    #[test]
    fn conversion_is_exact_below_two_to_the_53() {
        let gb = 9_007_199_254_740_991_f64;
        for unit in [StorageUnit::Byte, StorageUnit::Kb, StorageUnit::Mb, StorageUnit::Tb, StorageUnit::Pb] {
            let factor = unit.convert_gb(1.0);
            assert_eq!((unit.convert_gb(gb) / factor).to_bits(), gb.to_bits());
        }
        assert_eq!(StorageUnit::Tb.convert_gb(1536.0).to_bits(), 1.5_f64.to_bits());
    }
}
