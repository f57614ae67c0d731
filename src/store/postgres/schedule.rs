//! Tenants: who is collected, when, and how that is doing.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use super::row::{Instant, read_instant, read_tenant};
use super::statement::{Lock, lock, query};
use crate::quota::{Tenant, TenantId};
use crate::store::error::attempt;
use crate::store::shaping::{labels_as_json, labels_from_json};
use crate::store::{Claim, CollectionError, CollectionStatus, DueTenant, Schedule, StoreError};

/// Locks what will change in the order of the ids, as recording does.
const LOCK_CHANGED: &str = "
select t.tenant_id
from tenants t
left join unnest($1::text[], $2::text[], $3::text[]) as g (tenant_id, name, labels) on g.tenant_id = t.tenant_id
where case when g.tenant_id is null then t.collected
           else (t.name, t.labels, t.collected) is distinct from (g.name, g.labels::jsonb, true) end
order by t.tenant_id
for no key update of t";

const UPDATE_GIVEN: &str = "
update tenants t
set name = g.name, labels = g.labels::jsonb, collected = true,
    next_due_at = case when t.collected then t.next_due_at else $4 end
from unnest($1::text[], $2::text[], $3::text[]) as g (tenant_id, name, labels)
where t.tenant_id = g.tenant_id
  and (t.name, t.labels, t.collected) is distinct from (g.name, g.labels::jsonb, true)";

const RETIRE_OTHERS: &str = "
update tenants t
set collected = false, next_due_at = null, lease_until = null
where t.collected and not exists (select from unnest($1::text[]) as g (tenant_id) where g.tenant_id = t.tenant_id)";

/// `where not exists` instead of `on conflict`, which would use up a number for every known tenant.
const INSERT_NEW: &str = "
insert into tenants (tenant_id, name, labels, next_due_at)
select g.tenant_id, g.name, g.labels::jsonb, $4
from unnest($1::text[], $2::text[], $3::text[]) with ordinality as g (tenant_id, name, labels, place)
where not exists (select from tenants t where t.tenant_id = g.tenant_id)
order by g.place";

macro_rules! claim_due {
    ($which:literal) => {
        concat!(
            "
with due as materialized (
    select tenant_id
    from tenants
    where collected and next_due_at <= $1 and (lease_until is null or lease_until <= $1) and ",
            $which,
            "
    limit $3
    for no key update skip locked
)
update tenants t
set lease_until = $2
from due
where t.tenant_id = due.tenant_id
returning t.tenant_id, t.next_due_at, t.tenant_no, t.consecutive_failures, t.last_success_at"
        )
    };
}

fn claim_statement(claim: Claim) -> &'static str {
    match claim {
        Claim::Healthy => claim_due!("failing = false order by next_due_at"),
        Claim::Answering => claim_due!("failing = false and last_success_at is not null order by next_due_at"),
        Claim::Failing => claim_due!("failing = true order by next_due_at"),
        Claim::Faltering => claim_due!(
            "failing = true and (last_success_at is not null or consecutive_failures < 3)
    order by last_success_at desc nulls last, consecutive_failures, next_due_at"
        ),
    }
}

const STATUS: &str = "
select tenant_id, last_attempt_at, last_success_at, next_due_at, consecutive_failures, last_error_code, last_error_message,
       last_error_at
from tenants
where tenant_id = any ($1)";

/// One descent of the index for each of its halves.
const EARLIEST_DUE: &str = "
select least(
    (select min(next_due_at) from tenants where collected and failing),
    (select min(next_due_at) from tenants where collected and not failing)
)
where $1";

#[async_trait::async_trait]
impl Schedule for PostgresStore {
    async fn register_tenants(&self, tenants: &[Tenant], now: Timestamp) -> Result<(), StoreError> {
        attempt("registering of tenants", async {
            let ids = tenants.iter().map(|t| t.id.to_string()).collect::<Vec<_>>();
            let names = tenants.iter().map(|t| t.name.clone()).collect::<Vec<_>>();
            let labels = tenants.iter().map(|t| labels_as_json(&t.labels).to_string()).collect::<Vec<_>>();
            let mut tx = self.pool.begin().await?;
            lock(&mut tx, Lock::Registering).await?;
            query(LOCK_CHANGED).bind(&ids).bind(&names).bind(&labels).execute(&mut *tx).await?;
            query(UPDATE_GIVEN).bind(&ids).bind(&names).bind(&labels).bind(Instant(now)).execute(&mut *tx).await?;
            query(RETIRE_OTHERS).bind(&ids).execute(&mut *tx).await?;
            query(INSERT_NEW).bind(&ids).bind(&names).bind(&labels).bind(Instant(now)).execute(&mut *tx).await?;
            tx.commit().await
        })
        .await
    }

    async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        attempt("reading of tenants", async {
            let mut tx = self.pool.begin().await?;
            let rows = query("select tenant_id, name, labels::text from tenants order by tenant_id").fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let read = |row: &PgRow| {
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
            let mut tx = self.pool.begin().await?;
            let claiming = query(claim_statement(claim)).bind(Instant(now)).bind(Instant(lease_until)).bind(i64::from(limit));
            let rows = claiming.fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let read = |row: &PgRow| {
                let tenant = DueTenant {
                    id: read_tenant(row)?,
                    due_at: row.try_get::<Instant, _>(1)?.0,
                    ordinal: row.try_get::<i32, _>(2)?.into(),
                    consecutive_failures: row.try_get::<i32, _>(3)?.unsigned_abs(),
                };
                Ok((tenant, read_instant(row, 4)?))
            };
            Ok(claim.in_order(rows.iter().map(read).collect::<Result<_, sqlx::Error>>()?))
        })
        .await
    }

    async fn collection_status(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, CollectionStatus)>, StoreError> {
        attempt("reading of collection status", async {
            let ids = tenants.iter().map(TenantId::to_string).collect::<Vec<_>>();
            let mut tx = self.pool.begin().await?;
            let rows = query(STATUS).bind(ids).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            rows.iter().map(|row| Ok((read_tenant(row)?, read_status(row)?))).collect()
        })
        .await
    }

    async fn earliest_due(&self) -> Result<Option<Timestamp>, StoreError> {
        attempt("reading of the schedule", async {
            let mut tx = self.pool.begin().await?;
            // An argument, if only for form's sake, has the answer come in binary.
            let row = query(EARLIEST_DUE).bind(true).fetch_one(&mut *tx).await?;
            tx.commit().await?;
            read_instant(&row, 0)
        })
        .await
    }
}

/// Reads a status from the columns 1 to 7 of [`STATUS`].
pub(super) fn read_status(row: &PgRow) -> Result<CollectionStatus, sqlx::Error> {
    let code = row.try_get::<Option<String>, _>(5)?;
    let message = row.try_get::<Option<String>, _>(6)?;
    let error = code.zip(message).map(|(code, message)| CollectionError { code, message });
    Ok(CollectionStatus {
        last_attempt_at: read_instant(row, 1)?,
        last_success_at: read_instant(row, 2)?,
        next_attempt_at: read_instant(row, 3)?,
        consecutive_failures: row.try_get::<i32, _>(4)?.unsigned_abs(),
        last_error: error.zip(read_instant(row, 7)?),
    })
}
