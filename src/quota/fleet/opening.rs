//! What all changes before a day add up to.

use std::collections::BTreeMap;

use super::Change;

const VERSION: u8 = 1;
const HEADER: usize = 5;
const ENTRY: usize = 28;

/// Bytes that are no packed opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an opening of the log of changes cannot be read: it was written by another version, or damaged")]
pub struct CorruptOpening;

/// What is carried of one space type of a tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TypeStanding {
    pub allocated_gb: i64,
    pub total_gb: i64,
    /// 1 while observations cover it, else 0.
    pub held: i32,
}

/// Where every type of every tenant stands at the start of a day. Adds up from changes in whatever order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    by_type: BTreeMap<(u32, i32), TypeStanding>,
}

impl Opening {
    pub fn add(&mut self, change: Change) {
        let standing = self.by_type.entry((change.tenant_no, change.step.space_type)).or_default();
        // Corrections come in parts, between which a sum may leave the range that it returns to.
        standing.allocated_gb = standing.allocated_gb.wrapping_add(change.step.allocated_gb);
        standing.total_gb = standing.total_gb.wrapping_add(change.step.total_gb);
        standing.held = standing.held.wrapping_add(change.step.held);
    }

    /// Where each type of each tenant stands; by the tenant's number and the space type.
    pub fn standings(&self) -> impl Iterator<Item = (u32, i32, TypeStanding)> + '_ {
        self.by_type.iter().map(|((tenant_no, space_type), standing)| (*tenant_no, *space_type, *standing))
    }

    /// Packs it: a version byte, the count as u32, and for each type the tenant's number u32, the space type i32, allocated i64, total i64
    /// and held i32, little-endian.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + ENTRY * self.by_type.len());
        bytes.push(VERSION);
        bytes.extend(u32::try_from(self.by_type.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (tenant_no, space_type, standing) in self.standings() {
            bytes.extend(tenant_no.to_le_bytes());
            bytes.extend(space_type.to_le_bytes());
            bytes.extend(standing.allocated_gb.to_le_bytes());
            bytes.extend(standing.total_gb.to_le_bytes());
            bytes.extend(standing.held.to_le_bytes());
        }
        bytes
    }

    /// Reads what [`Opening::pack`] wrote.
    ///
    /// # Errors
    /// When it did not.
    pub fn read(bytes: &[u8]) -> Result<Self, CorruptOpening> {
        let (header, entries) = bytes.split_at_checked(HEADER).ok_or(CorruptOpening)?;
        let count = u32::from_le_bytes([header[1], header[2], header[3], header[4]]);
        if header[0] != VERSION || entries.len() != ENTRY * count as usize {
            return Err(CorruptOpening);
        }
        let read = |entry: &[u8]| -> Option<((u32, i32), TypeStanding)> {
            let key = (u32::from_le_bytes(part(entry, 0)?), i32::from_le_bytes(part(entry, 4)?));
            let allocated_gb = i64::from_le_bytes(part(entry, 8)?);
            let total_gb = i64::from_le_bytes(part(entry, 16)?);
            Some((key, TypeStanding { allocated_gb, total_gb, held: i32::from_le_bytes(part(entry, 24)?) }))
        };
        let by_type = entries.chunks_exact(ENTRY).map(read).collect::<Option<_>>().ok_or(CorruptOpening)?;
        Ok(Self { by_type })
    }
}

fn part<const N: usize>(entry: &[u8], from: usize) -> Option<[u8; N]> {
    entry.get(from..from + N)?.try_into().ok()
}
