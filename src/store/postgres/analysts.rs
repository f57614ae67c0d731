//! The role that analysts read the views as.

use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Row};

use super::PostgresStore;
use super::statement::{Lock, lock, query};
use crate::shown;
use crate::store::error::{Failure, failed};
use crate::store::{AnalystRole, AnalystTenants, Analysts, StoreError};

/// `SQLSTATE` of what the user has no right to.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What there is of a role, and whether it reads the tables whatever it is granted.
const FIND: &str = "
select rolsuper or pg_has_role(oid, (select relowner from pg_class where oid = 'tenants'::regclass), 'member')
from pg_roles where rolname = $1";

const VIEWS: &str = "usage_tenants, usage_runs, usage_latest, usage_daily";

const PUT: &str = "insert into analyst_tenants (role_name, tenant_id) select $1, unnest($2::text[]) on conflict do nothing";

const GRANTED: &str = "
select g.tenant_id, t.tenant_id is not null or g.tenant_id = '*'
from analyst_tenants g left join tenants t using (tenant_id)
where g.role_name = $1
order by 1";

async fn set_up(pool: &PgPool, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, Failure> {
    check_name(role)?;
    let mut tx = pool.begin().await?;
    lock(&mut tx, Lock::Migrating).await?;
    let found = query(FIND).bind(role).fetch_optional(&mut *tx).await?;
    match found.map(|row| row.try_get(0)).transpose()? {
        Some(true) => {
            return Err(StoreError::Unusable(format!(
                "role {role} reads everything, as a superuser or a member of the tables' owner: name another role"
            ))
            .into());
        }
        Some(false) => {}
        None => create(&mut tx, role).await?,
    }
    grant_views(&mut tx, role).await?;
    if let Some(tenants) = tenants {
        put_tenants(&mut tx, role, tenants).await?;
    }
    let granted = read(&mut tx, role).await?;
    tx.commit().await?;
    Ok(granted)
}

/// Agrees with what can be the name of a role: the server would cut a longer one.
fn check_name(role: &str) -> Result<(), StoreError> {
    let reserved = role.starts_with("pg_") || matches!(role, "public" | "none");
    if (1..=63).contains(&role.len()) && !role.contains('\0') && !reserved {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "{} can be no role: give a name of 1 to 63 bytes that does not begin with pg_, and not public or none",
        shown::quoted(role)
    )))
}

async fn create(tx: &mut PgConnection, role: &str) -> Result<(), Failure> {
    let created = execute(tx, &format!("create role {} nologin", quoted(role))).await;
    created.map_err(|error| match error.as_database_error() {
        Some(refusal) if refusal.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) => StoreError::Unusable(format!(
            "the database's user may not create roles: have an administrator run `create role {} nologin`, then run this again",
            quoted(role)
        ))
        .into(),
        _ => error.into(),
    })
}

/// Takes every right away that the role has here, and gives it those that it needs.
async fn grant_views(tx: &mut PgConnection, role: &str) -> Result<(), sqlx::Error> {
    let schema: String = query("select current_schema()::text where $1").bind(true).fetch_one(&mut *tx).await?.try_get(0)?;
    let (schema, role) = (quoted(&schema), quoted(role));
    execute(tx, &format!("revoke all on all tables in schema {schema} from {role}")).await?;
    execute(tx, &format!("revoke all on schema {schema} from {role}")).await?;
    execute(tx, &format!("grant usage on schema {schema} to {role}")).await?;
    execute(tx, &format!("grant select on {VIEWS} to {role}")).await
}

async fn put_tenants(tx: &mut PgConnection, role: &str, tenants: &AnalystTenants) -> Result<(), sqlx::Error> {
    let tenants = match tenants {
        AnalystTenants::All => vec!["*".to_owned()],
        AnalystTenants::Only(ids) => ids.iter().map(ToString::to_string).collect(),
    };
    query("delete from analyst_tenants where role_name = $1").bind(role).execute(&mut *tx).await?;
    query(PUT).bind(role).bind(tenants).execute(tx).await.map(drop)
}

async fn read(tx: &mut PgConnection, role: &str) -> Result<AnalystRole, sqlx::Error> {
    let rows = query(GRANTED).bind(role).fetch_all(tx).await?;
    let rows = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let (known, unknown): (Vec<_>, Vec<_>) =
        rows.collect::<Result<Vec<(String, bool)>, sqlx::Error>>()?.into_iter().partition(|(_, known)| *known);
    let names = |rows: Vec<(String, bool)>| rows.into_iter().map(|(tenant, _)| tenant).collect::<Vec<_>>();
    Ok(AnalystRole { all: known.iter().any(|(tenant, _)| tenant == "*"), tenants: names(known), unknown: names(unknown) })
}

async fn execute(tx: &mut PgConnection, sql: &str) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(tx).await.map(drop)
}

/// A name as it is written in a statement.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
#[async_trait::async_trait]
impl Analysts for PostgresStore {
    async fn set_up_analyst(&self, role: &str, tenants: Option<&AnalystTenants>) -> Result<AnalystRole, StoreError> {
        set_up(&self.pool, role, tenants).await.map_err(failed("setting up of the analysts' role"))
    }
}
