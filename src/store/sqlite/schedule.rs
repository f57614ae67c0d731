//! Tenants: who is collected, when, and how that is doing.

use jiff::Timestamp;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::row::{instant, json_rows, read_instant, read_tenant};
use super::statement::begin;
use crate::quota::{Tenant, TenantId};
use crate::store::error::attempt;
use crate::store::instant::millis;
use crate::store::shaping::{labels_as_json, labels_from_json};
use crate::store::{Claim, CollectionError, CollectionStatus, DueTenant, Schedule, StoreError};

const UPDATE_GIVEN: &str = "
update tenants
set name = value ->> 1, labels = value ->> 2, collected = 1, next_due_at = case when collected then next_due_at else ?2 end
from json_each(?1)
where tenant_id = value ->> 0 and (name, labels, collected) is not (value ->> 1, value ->> 2, 1)";

const RETIRE_OTHERS: &str = "
update tenants
set collected = 0, next_due_at = null, lease_until = null
where collected and tenant_id not in (select value ->> 0 from json_each(?1))";

const INSERT_NEW: &str = "
insert into tenants (tenant_id, name, labels, next_due_at)
select value ->> 0, value ->> 1, value ->> 2, ?2
from json_each(?1)
where value ->> 0 not in (select tenant_id from tenants)
order by key";

macro_rules! claim_due {
    ($which:literal) => {
        concat!(
            "
update tenants
set lease_until = ?2
where tenant_no in (
    select tenant_no
    from tenants
    where collected and next_due_at <= ?1 and (lease_until is null or lease_until <= ?1) and ",
            $which,
            "
    limit ?3
)
returning tenant_id, next_due_at, tenant_no, consecutive_failures, last_success_at"
        )
    };
}

fn claim_statement(claim: Claim) -> &'static str {
    match claim {
        Claim::Healthy => claim_due!("failing = 0 order by next_due_at"),
        Claim::Answering => claim_due!("failing = 0 and last_success_at is not null order by next_due_at"),
        Claim::Failing => claim_due!("failing = 1 order by next_due_at"),
        Claim::Faltering => claim_due!(
            "failing = 1 and (last_success_at is not null or consecutive_failures < 3)
    order by last_success_at desc nulls last, consecutive_failures, next_due_at"
        ),
    }
}

const STATUS: &str = "
select tenant_id, last_attempt_at, last_success_at, next_due_at, consecutive_failures, last_error_code, last_error_message,
       last_error_at
from tenants
where tenant_id in (select value from json_each(?1))
order by tenant_id";

/// One descent of the index for each of its halves.
const EARLIEST_DUE: &str = "
select min(earliest) from (
    select min(next_due_at) as earliest from tenants where collected and failing = 0
    union all
    select min(next_due_at) from tenants where collected and failing = 1
)";

#[async_trait::async_trait]
impl Schedule for SqliteStore {
    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError> {
        attempt("registering of tenants", async {
            let given = json_rows(tenants, |t| json!([t.id.as_str(), t.name, labels_as_json(&t.labels).to_string()]));
            let mut tx = begin(&self.writer).await?;
            sqlx::query(UPDATE_GIVEN).bind(&given).bind(millis(now)).execute(&mut *tx).await?;
            sqlx::query(RETIRE_OTHERS).bind(&given).execute(&mut *tx).await?;
            sqlx::query(INSERT_NEW).bind(&given).bind(millis(now)).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        attempt("reading of tenants", async {
            let rows =
                sqlx::query("select tenant_id, name, labels from tenants order by tenant_id").fetch_all(&self.readers).await?;
            let read = |row: &SqliteRow| {
                let labels = labels_from_json(row.try_get(2)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
                Ok(Tenant { id: read_tenant(row)?, name: row.try_get(1)?, labels })
            };
            rows.iter().map(read).collect()
        })
        .await
    }

    async fn claim_due(
        &self,
        claim: Claim,
        now: Timestamp,
        lease_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueTenant>, StoreError> {
        attempt("claiming of due tenants", async {
            let mut tx = begin(&self.writer).await?;
            let claiming = sqlx::query(claim_statement(claim)).bind(millis(now)).bind(millis(lease_until)).bind(limit);
            let rows = claiming.fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let read = |row: &SqliteRow| {
                let tenant = DueTenant {
                    id: read_tenant(row)?,
                    due_at: instant(row.try_get(1)?)?,
                    ordinal: row.try_get(2)?,
                    consecutive_failures: row.try_get(3)?,
                };
                Ok((tenant, read_instant(row, 4)?))
            };
            Ok(claim.in_order(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?))
        })
        .await
    }

    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError> {
        attempt("reading of collection status", async {
            let ids = json_rows(tenants, |tenant| tenant.as_str().into());
            let rows = sqlx::query(STATUS).bind(ids).fetch_all(&self.readers).await?;
            rows.iter().map(|row| Ok((read_tenant(row)?, read_status(row)?))).collect()
        })
        .await
    }

    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        attempt("reading of the schedule", async { read_instant(&sqlx::query(EARLIEST_DUE).fetch_one(&self.readers).await?, 0) })
            .await
    }
}

/// Reads a status from the columns 1 to 7 of [`STATUS`].
pub(super) fn read_status(row: &SqliteRow) -> Result<CollectionStatus, sqlx::Error> {
    let code = row.try_get::<Option<String>, _>(5)?;
    let message = row.try_get::<Option<String>, _>(6)?;
    let error = code.zip(message).map(|(code, message)| CollectionError { code, message });
    Ok(CollectionStatus {
        last_attempt_at: read_instant(row, 1)?,
        last_success_at: read_instant(row, 2)?,
        next_attempt_at: read_instant(row, 3)?,
        consecutive_failures: row.try_get(4)?,
        last_error: error.zip(read_instant(row, 7)?),
    })
}
