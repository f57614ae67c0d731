//! The changes of one day in as few bytes as can be read without unpacking.
//!
//! A year of ten thousand tenants is fifteen million changes, and a sum over it must take a fraction of a second. So a day is columns
//! of fixed width (the time since the change before, the tenant, the growth of allocated), and a short list of what does not fit into them:
//! changes of total and of coverage, and large ones. Six bytes a change, as a rule.
//!
//! ```text
//! version u8 = 1 | flags u8 | types u16 | count u32 | rare u32
//! types  x i32                     the space types that occur; ascending
//! count  x u16, or u32 if flag 2   milliseconds since the change before; the first one since the day began
//! count  x u16, or u32 if flag 1   the tenants' numbers
//! count  x i16, or i32 if flag 4   growth of allocated in GB; 0 for rare ones
//! count  x u16                     the place among the types; only if there are several
//! rare   x (u32, i64, i64, i32)    the place among the changes, allocated, total, held; by place
//! ```
//!
//! All numbers are little-endian. A day of more than 65,535 space types is of version 2, so that a reader of version 1 alone refuses it: the
//! `types` of the header is 0, a u32 with their number follows the header, and the places among the types are u32, too.

use super::{Change, Step};

/// Milliseconds of a UTC day.
pub const DAY_MILLIS: i64 = 86_400_000;

const VERSION: u8 = 1;
/// Of days with more space types than 16 bits count.
const WIDE_TYPES_VERSION: u8 = 2;
const WIDE_TENANTS: u8 = 1;
const WIDE_TIMES: u8 = 2;
const WIDE_ALLOCATED: u8 = 4;
const HEADER: usize = 12;
const RARE: usize = 24;

/// Bytes that are no packed day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day of the log of changes cannot be read: it was written by another version, or damaged")]
pub struct CorruptDay;

/// More changes than a packed day can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day of the log of changes has 2^32 changes or more, which cannot be packed")]
pub struct FullDay;

/// The day of an instant, both counted from 1970.
#[must_use]
pub fn day_of(millis: i64) -> i64 {
    millis.div_euclid(DAY_MILLIS)
}

/// Packs changes of one day. They are sorted; those of one instant, tenant and type are put together.
///
/// # Errors
/// When there are 2^32 changes or more, whose places are not counted.
///
/// # Panics
/// When the changes are of several days.
pub fn pack_day(mut changes: Vec<Change>) -> Result<Vec<u8>, FullDay> {
    merge(&mut changes);
    let day = changes.first().map_or(0, |change| day_of(change.step.at));
    assert!(changes.iter().all(|change| day_of(change.step.at) == day), "changes of several days");
    let count = u32::try_from(changes.len()).map_err(|_| FullDay)?;
    let mut types: Vec<i32> = changes.iter().map(|change| change.step.space_type).collect();
    types.sort_unstable();
    types.dedup();
    // The list of rare ones takes more than a wider column when every eighth change is in it for its size.
    let large = changes.iter().filter(|change| i16::try_from(change.step.allocated_gb).is_err()).count();
    let wide_allocated = large * 8 > changes.len();
    let fits = |gb: i64| if wide_allocated { i32::try_from(gb).is_ok() } else { i16::try_from(gb).is_ok() };
    let is_rare = |step: &Step| step.total_gb != 0 || step.held != 0 || !fits(step.allocated_gb);
    let rare: Vec<_> = (0_u32..).zip(&changes).filter(|(_, change)| is_rare(&change.step)).collect();
    let tenants: Vec<u32> = changes.iter().map(|change| change.tenant_no).collect();
    let wide_tenants = tenants.iter().any(|tenant_no| u16::try_from(*tenant_no).is_err());
    let mut before = day * DAY_MILLIS;
    let since_before = |change: &Change| count_of_day(change.step.at - std::mem::replace(&mut before, change.step.at));
    let times: Vec<u32> = changes.iter().map(since_before).collect();
    let wide_times = times.iter().any(|time| u16::try_from(*time).is_err());
    let allocated = changes.iter().map(|change| if is_rare(&change.step) { 0 } else { change.step.allocated_gb });
    let allocated: Vec<u32> = allocated.map(|gb| i32::try_from(gb).unwrap_or_default().cast_unsigned()).collect();

    let mut bytes = Vec::with_capacity(HEADER + 14 * changes.len() + RARE * rare.len());
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    let few_types = u16::try_from(types.len()).ok();
    bytes.push(if few_types.is_some() { VERSION } else { WIDE_TYPES_VERSION });
    bytes.push(flag(wide_tenants, WIDE_TENANTS) | flag(wide_times, WIDE_TIMES) | flag(wide_allocated, WIDE_ALLOCATED));
    bytes.extend(few_types.unwrap_or_default().to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(u32::try_from(rare.len()).unwrap_or(count).to_le_bytes());
    if few_types.is_none() {
        // No more than there are changes.
        bytes.extend(u32::try_from(types.len()).unwrap_or(count).to_le_bytes());
    }
    bytes.extend(types.iter().flat_map(|space_type| space_type.to_le_bytes()));
    push_column(&mut bytes, &times, wide_times);
    push_column(&mut bytes, &tenants, wide_tenants);
    push_column(&mut bytes, &allocated, wide_allocated);
    if types.len() > 1 {
        let place = |change: &Change| types.binary_search(&change.step.space_type).ok().and_then(|place| u32::try_from(place).ok());
        let places: Vec<u32> = changes.iter().map(|change| place(change).unwrap_or_default()).collect();
        push_column(&mut bytes, &places, few_types.is_none());
    }
    for (place, Change { step, .. }) in rare {
        bytes.extend(place.to_le_bytes());
        bytes.extend(step.allocated_gb.to_le_bytes());
        bytes.extend(step.total_gb.to_le_bytes());
        bytes.extend(step.held.to_le_bytes());
    }
    Ok(bytes)
}

/// Adds numbers of 32 bits, or the lower 16 of each.
fn push_column(bytes: &mut Vec<u8>, column: &[u32], wide: bool) {
    for number in column {
        let number = number.to_le_bytes();
        bytes.extend(if wide { &number[..] } else { &number[..2] });
    }
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
            let held = last.step.held.checked_add(change.step.held)?;
            last.step = Step { allocated_gb: sum.0, total_gb: sum.1, held, ..last.step };
            Some(())
        });
        if sum.is_none() {
            merged.push(change);
        }
    }
    merged.retain(|Change { step, .. }| (step.allocated_gb, step.total_gb, step.held) != (0, 0, 0));
    *changes = merged;
}

/// Milliseconds within a day.
fn count_of_day(millis: i64) -> u32 {
    u32::try_from(millis).unwrap_or_default()
}

/// The changes of a packed day, in order.
#[derive(Clone, Debug)]
pub struct DayChanges<'a> {
    start: i64,
    count: usize,
    types: Vec<i32>,
    times: Column<'a>,
    tenants: Column<'a>,
    allocated: Column<'a>,
    /// The places among the types; empty when there is one type only.
    type_places: Column<'a>,
    rare: &'a [u8],
}

/// Numbers of 16 or 32 bits.
#[derive(Clone, Copy, Debug)]
enum Column<'a> {
    Narrow(&'a [u8]),
    Wide(&'a [u8]),
}

impl Column<'_> {
    #[inline]
    fn unsigned(self, place: usize) -> u32 {
        match self {
            Self::Narrow(bytes) => u32::from(u16_at(bytes, 2 * place)),
            Self::Wide(bytes) => u32_at(bytes, 4 * place),
        }
    }

    #[inline]
    fn signed(self, place: usize) -> i64 {
        match self {
            Self::Narrow(bytes) => i64::from(u16_at(bytes, 2 * place).cast_signed()),
            Self::Wide(bytes) => i64::from(u32_at(bytes, 4 * place).cast_signed()),
        }
    }
}

impl<'a> DayChanges<'a> {
    /// Reads a day that [`pack_day`] wrote; `day` counts from 1970.
    ///
    /// # Errors
    /// When it did not.
    pub fn read(day: i64, bytes: &'a [u8]) -> Result<Self, CorruptDay> {
        let (header, mut rest) = bytes.split_at_checked(HEADER).ok_or(CorruptDay)?;
        let many_types = match header[0] {
            VERSION => false,
            WIDE_TYPES_VERSION => true,
            _ => return Err(CorruptDay),
        };
        let (count, rare) = (u32_at(header, 4) as usize, u32_at(header, 8) as usize);
        let mut take = |length: usize| {
            let (part, after) = rest.split_at_checked(length).ok_or(CorruptDay)?;
            rest = after;
            Ok(part)
        };
        let types = if many_types { u32_at(take(4)?, 0) as usize } else { usize::from(u16_at(header, 2)) };
        let types: Vec<i32> = take(4 * types)?.chunks_exact(4).map(|b| u32_at(b, 0).cast_signed()).collect();
        let mut column = |wide: u8| {
            let wide = header[1] & wide != 0;
            Ok(if wide { Column::Wide(take(4 * count)?) } else { Column::Narrow(take(2 * count)?) })
        };
        let (times, tenants, allocated) = (column(WIDE_TIMES)?, column(WIDE_TENANTS)?, column(WIDE_ALLOCATED)?);
        let type_places = match (types.len() > 1, many_types) {
            (false, _) => Column::Narrow(&[]),
            (true, false) => Column::Narrow(take(2 * count)?),
            (true, true) => Column::Wide(take(4 * count)?),
        };
        let rare = take(RARE * rare)?;
        if !rest.is_empty() || (count > 0 && types.is_empty()) {
            return Err(CorruptDay);
        }
        Ok(Self { start: day.saturating_mul(DAY_MILLIS), count, types, times, tenants, allocated, type_places, rare })
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Calls `each` for every change, in order. A loop of its own instead of an iterator: this is the hot path of every sum over a fleet.
    #[inline]
    pub fn for_each(&self, mut each: impl FnMut(Change)) {
        let mut rare = self.rare.chunks_exact(RARE).peekable();
        let mut next_rare = rare.peek().map_or(usize::MAX, |entry| u32_at(entry, 0) as usize);
        let mut at = self.start;
        for place in 0..self.count {
            at = at.saturating_add(i64::from(self.times.unsigned(place)));
            let (space_type, allocated_gb) = (self.type_at(place), self.allocated.signed(place));
            let mut step = Step { at, space_type, allocated_gb, total_gb: 0, held: 0 };
            if place == next_rare {
                if let Some(entry) = rare.next() {
                    step.allocated_gb = i64_at(entry, 4);
                    step.total_gb = i64_at(entry, 12);
                    step.held = u32_at(entry, 20).cast_signed();
                }
                next_rare = rare.peek().map_or(usize::MAX, |entry| u32_at(entry, 0) as usize);
            }
            each(Change { tenant_no: self.tenants.unsigned(place), step });
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
        // One type only: nothing to be looked up.
        let place = if self.types.len() > 1 { self.type_places.unsigned(index) as usize } else { 0 };
        self.types.get(place).copied().unwrap_or_default()
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
