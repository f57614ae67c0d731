//! The changes of one day in as few bytes as can be read without unpacking.
//!
//! A year of ten thousand tenants is fifteen million changes, and a sum over it must take a fraction of a second. So a day is columns
//! of fixed width (the instant within the day, the tenant, the growth of allocated), and a short list of what does not fit into them:
//! changes of total and of coverage, and large ones. Ten bytes a change.
//!
//! ```text
//! version u8 = 1 | flags u8 | types u16 | count u32 | rare u32
//! types  x i32                  the space types that occur
//! count  x u32                  milliseconds since the day began, ascending
//! count  x u16, or u32 if flag 1   the tenants' numbers
//! count  x i32                  growth of allocated in GB; 0 for rare ones
//! count  x u16                  the place among the types; only if there are several
//! rare   x (u32, i64, i64, i32) the place among the changes, allocated, total, held; by place
//! ```
//!
//! All numbers are little-endian.

use super::{Change, Step};

/// Milliseconds of a UTC day.
pub const DAY_MILLIS: i64 = 86_400_000;

const VERSION: u8 = 1;
const WIDE_TENANTS: u8 = 1;
const HEADER: usize = 12;
const RARE: usize = 24;

/// Bytes that are no packed day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day of the log of changes cannot be read: it was written by another version, or damaged")]
pub struct CorruptDay;

/// The day of an instant, both counted from 1970.
#[must_use]
pub fn day_of(millis: i64) -> i64 {
    millis.div_euclid(DAY_MILLIS)
}

/// Packs changes of one day. They are sorted; those of one instant, tenant and type are put together.
///
/// # Panics
/// When the changes are of several days, or of more than 65,535 space types.
#[must_use]
pub fn pack_day(mut changes: Vec<Change>) -> Vec<u8> {
    merge(&mut changes);
    let day = changes.first().map_or(0, |change| day_of(change.step.at));
    assert!(changes.iter().all(|change| day_of(change.step.at) == day), "changes of several days");
    let mut types: Vec<i32> = changes.iter().map(|change| change.step.space_type).collect();
    types.sort_unstable();
    types.dedup();
    let is_rare = |step: &Step| step.total_gb != 0 || step.held != 0 || i32::try_from(step.allocated_gb).is_err();
    let rare: Vec<_> = changes.iter().enumerate().filter(|(_, change)| is_rare(&change.step)).collect();
    let wide = changes.iter().any(|change| u16::try_from(change.tenant_no).is_err());

    let mut bytes = Vec::with_capacity(HEADER + 14 * changes.len() + RARE * rare.len());
    bytes.extend([VERSION, if wide { WIDE_TENANTS } else { 0 }]);
    bytes.extend(u16::try_from(types.len()).expect("few space types").to_le_bytes());
    bytes.extend(count(changes.len()).to_le_bytes());
    bytes.extend(count(rare.len()).to_le_bytes());
    bytes.extend(types.iter().flat_map(|space_type| space_type.to_le_bytes()));
    bytes.extend(changes.iter().flat_map(|change| count_of_day(change.step.at).to_le_bytes()));
    if wide {
        bytes.extend(changes.iter().flat_map(|change| change.tenant_no.to_le_bytes()));
    } else {
        bytes.extend(changes.iter().flat_map(|change| u16::try_from(change.tenant_no).unwrap_or_default().to_le_bytes()));
    }
    let common = |step: &Step| if is_rare(step) { 0 } else { i32::try_from(step.allocated_gb).unwrap_or_default() };
    bytes.extend(changes.iter().flat_map(|change| common(&change.step).to_le_bytes()));
    if types.len() > 1 {
        let place = |step: &Step| types.binary_search(&step.space_type).unwrap_or_default();
        bytes.extend(changes.iter().flat_map(|change| u16::try_from(place(&change.step)).unwrap_or_default().to_le_bytes()));
    }
    for (place, Change { step, .. }) in rare {
        bytes.extend(count(place).to_le_bytes());
        bytes.extend(step.allocated_gb.to_le_bytes());
        bytes.extend(step.total_gb.to_le_bytes());
        bytes.extend(step.held.to_le_bytes());
    }
    bytes
}

/// Sorts changes, and puts those of one instant, tenant and type together as far as 64 bits allow.
fn merge(changes: &mut Vec<Change>) {
    changes.sort_by_key(|Change { tenant_no, step }| (step.at, *tenant_no, step.space_type));
    let mut merged: Vec<Change> = Vec::with_capacity(changes.len());
    for change in changes.drain(..) {
        let last = merged.last_mut().filter(|last| {
            (last.step.at, last.tenant_no, last.step.space_type) == (change.step.at, change.tenant_no, change.step.space_type)
        });
        let sum = last.and_then(|last| {
            let (allocated, total) = (change.step.allocated_gb, change.step.total_gb);
            let sum = (last.step.allocated_gb.checked_add(allocated)?, last.step.total_gb.checked_add(total)?);
            last.step = Step { allocated_gb: sum.0, total_gb: sum.1, held: last.step.held + change.step.held, ..last.step };
            Some(())
        });
        if sum.is_none() {
            merged.push(change);
        }
    }
    merged.retain(|Change { step, .. }| (step.allocated_gb, step.total_gb, step.held) != (0, 0, 0));
    *changes = merged;
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer changes than 2^32 a day")
}

fn count_of_day(at: i64) -> u32 {
    u32::try_from(at.rem_euclid(DAY_MILLIS)).unwrap_or_default()
}

/// The changes of a packed day, in order.
#[derive(Clone, Debug)]
pub struct DayChanges<'a> {
    start: i64,
    types: Vec<i32>,
    times: &'a [u8],
    tenants: &'a [u8],
    wide: bool,
    allocated: &'a [u8],
    type_places: &'a [u8],
    rare: &'a [u8],
}

impl<'a> DayChanges<'a> {
    /// Reads a day that [`pack_day`] wrote; `day` counts from 1970.
    ///
    /// # Errors
    /// When it did not.
    pub fn read(day: i64, bytes: &'a [u8]) -> Result<Self, CorruptDay> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(CorruptDay)?;
        if header[0] != VERSION {
            return Err(CorruptDay);
        }
        let wide = header[1] & WIDE_TENANTS != 0;
        let (types, count, rare) = (usize::from(u16_at(header, 2)), u32_at(header, 4) as usize, u32_at(header, 8) as usize);
        let mut rest = rest;
        let mut take = |length: usize| {
            let (part, after) = rest.split_at_checked(length).ok_or(CorruptDay)?;
            rest = after;
            Ok(part)
        };
        let type_list = take(4 * types)?.chunks_exact(4).map(|b| u32_at(b, 0).cast_signed()).collect();
        let times = take(4 * count)?;
        let tenants = take(if wide { 4 } else { 2 } * count)?;
        let allocated = take(4 * count)?;
        let type_places = take(if types > 1 { 2 * count } else { 0 })?;
        let rare = take(RARE * rare)?;
        if !rest.is_empty() || (count > 0 && types == 0) {
            return Err(CorruptDay);
        }
        Ok(Self { start: day * DAY_MILLIS, types: type_list, times, tenants, wide, allocated, type_places, rare })
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len() / 4
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Calls `each` for every change, in order. A loop of its own instead of an iterator: this is the hot path of every sum over a fleet.
    #[inline]
    pub fn for_each(&self, mut each: impl FnMut(Change)) {
        let mut rare = self.rare.chunks_exact(RARE).peekable();
        let mut next_rare = rare.peek().map_or(u32::MAX, |entry| u32_at(entry, 0));
        let columns = self.times.chunks_exact(4).zip(self.allocated.chunks_exact(4));
        for (place, (time, allocated)) in (0_u32..).zip(columns) {
            let index = place as usize;
            let tenant_no = if self.wide { u32_at(self.tenants, 4 * index) } else { u32::from(u16_at(self.tenants, 2 * index)) };
            let at = self.start + i64::from(u32_at(time, 0));
            let space_type = self.type_at(index);
            let mut step =
                Step { at, space_type, allocated_gb: i64::from(u32_at(allocated, 0).cast_signed()), total_gb: 0, held: 0 };
            if place == next_rare {
                if let Some(entry) = rare.next() {
                    step.allocated_gb = i64_at(entry, 4);
                    step.total_gb = i64_at(entry, 12);
                    step.held = u32_at(entry, 20).cast_signed();
                }
                next_rare = rare.peek().map_or(u32::MAX, |entry| u32_at(entry, 0));
            }
            each(Change { tenant_no, step });
        }
    }

    /// All changes, in order.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Change> {
        let mut changes = Vec::with_capacity(self.len());
        self.for_each(|change| changes.push(change));
        changes
    }

    fn type_at(&self, index: usize) -> i32 {
        if self.type_places.is_empty() {
            return self.types.first().copied().unwrap_or_default();
        }
        self.types.get(usize::from(u16_at(self.type_places, 2 * index))).copied().unwrap_or_default()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default())
}
