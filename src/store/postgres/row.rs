//! Values and rows as Postgres has them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueRef, Postgres};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Decode, Encode, Row, Type};

use crate::quota::{Run, TenantId};
use crate::store::instant::{from_micros, from_millis, micros, millis};

/// Milliseconds from 1970 to 2000, from where Postgres counts.
const EPOCH_MILLIS: i64 = 946_684_800_000;
/// The first instant that a `timestamptz` holds, in microseconds since 2000.
const FIRST_MICROS: i64 = -211_813_488_000_000_000;

/// An instant as a `timestamptz`, cut to whole milliseconds. What lies before the range of the type becomes its first instant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Instant(pub Timestamp);

impl Type<Postgres> for Instant {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Instant {
    fn array_type_info() -> PgTypeInfo {
        <OffsetDateTime as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Instant {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = millis(self.0).saturating_sub(EPOCH_MILLIS).saturating_mul(1000).max(FIRST_MICROS);
        Encode::<Postgres>::encode(micros, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Instant {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        // Only statements with arguments select instants, and those answer in binary.
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(from_millis(micros.div_euclid(1000).saturating_add(EPOCH_MILLIS))?))
    }
}

/// A place in the feed as a `timestamptz`, to the microsecond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(pub Timestamp);

impl Type<Postgres> for Place {
    fn type_info() -> PgTypeInfo {
        <Instant as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Place {
    fn array_type_info() -> PgTypeInfo {
        <Instant as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Place {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let micros = micros(self.0).saturating_sub(EPOCH_MILLIS * 1000).max(FIRST_MICROS);
        Encode::<Postgres>::encode(micros, buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Place {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Self(from_micros(micros.saturating_add(EPOCH_MILLIS * 1000))?))
    }
}

/// What [`read_run`] reads, in its order; of the table or subquery `s`.
macro_rules! run_columns {
    () => {
        "s.space_type, s.first_at, s.last_at, s.interval_s, s.samples, s.allocated_gb, s.total_gb, s.ended_at"
    };
}
pub(super) use run_columns;

/// Reads the tenant of a row whose first column it is.
pub(super) fn read_tenant(row: &PgRow) -> Result<TenantId, sqlx::Error> {
    row.try_get::<&str, _>(0)?.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Reads a run from `run_columns!()`, the first of which is the column `first`.
pub(super) fn read_run(row: &PgRow, first: usize) -> Result<Run, sqlx::Error> {
    Ok(Run {
        space_type: row.try_get(first)?,
        first_at: row.try_get::<Instant, _>(first + 1)?.0,
        last_at: row.try_get::<Instant, _>(first + 2)?.0,
        interval_s: row.try_get::<i32, _>(first + 3)?.unsigned_abs(),
        samples: row.try_get::<i32, _>(first + 4)?.into(),
        allocated_gb: row.try_get(first + 5)?,
        total_gb: row.try_get(first + 6)?,
        ended_at: read_instant(row, first + 7)?,
    })
}

/// Reads an instant that may be null.
pub(super) fn read_instant(row: &PgRow, column: usize) -> Result<Option<Timestamp>, sqlx::Error> {
    Ok(row.try_get::<Option<Instant>, _>(column)?.map(|instant| instant.0))
}

/// Reads rows of a tenant and a run, and puts the runs of a tenant together in the order in which they come.
pub(super) fn read_runs(rows: &[PgRow]) -> Result<BTreeMap<TenantId, Vec<Run>>, sqlx::Error> {
    let mut by_tenant = BTreeMap::<TenantId, Vec<Run>>::new();
    for row in rows {
        let run = read_run(row, 1)?;
        match by_tenant.get_mut(row.try_get::<&str, _>(0)?) {
            Some(runs) => runs.push(run),
            None => drop(by_tenant.insert(read_tenant(row)?, vec![run])),
        }
    }
    Ok(by_tenant)
}

/// A count in the 31 bits that the columns have; more becomes the most.
pub(super) fn narrow(count: impl TryInto<i32>) -> i32 {
    count.try_into().unwrap_or(i32::MAX)
}
