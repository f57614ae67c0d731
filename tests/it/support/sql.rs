//! Statements beside the service, in either database, with answers as JSON.

use serde_json::{Map, Value};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Connection, Executor, PgConnection, Row, SqliteConnection, TypeInfo, ValueRef};

/// Runs one query and gives its rows; instants and days are text.
///
/// # Panics
/// When the database refuses it.
pub async fn rows(url: &str, query: &str) -> Vec<Map<String, Value>> {
    try_rows(url, query).await.unwrap_or_else(|error| panic!("{error}: {query}"))
}

/// The same, or why not.
pub async fn try_rows(url: &str, query: &str) -> Result<Vec<Map<String, Value>>, sqlx::Error> {
    let query = query.trim().trim_end_matches(';');
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await?;
        let rows = sqlx::raw_sql(AssertSqlSafe(query.to_owned())).fetch_all(&mut connection).await?;
        return Ok(rows
            .iter()
            .map(|row| (0..row.len()).map(|place| (row.column(place).name().to_owned(), cell(row, place))).collect())
            .collect());
    }
    let mut connection = connect(url).await?;
    let in_json = format!("select to_jsonb(q)::text from ({query}) q");
    let rows = connection.fetch_all(sqlx::raw_sql(AssertSqlSafe(in_json))).await?;
    Ok(rows.iter().map(|row| serde_json::from_str(row.get(0)).unwrap()).collect())
}

fn cell(row: &sqlx::sqlite::SqliteRow, place: usize) -> Value {
    let value = row.try_get_raw(place).unwrap();
    if value.is_null() {
        return Value::Null;
    }
    match value.type_info().name() {
        "INTEGER" => row.get::<i64, _>(place).into(),
        "REAL" => row.get::<f64, _>(place).into(),
        _ => row.get::<String, _>(place).into(),
    }
}

/// Connects to Postgres. Queries of small tables are not compiled, which would take longer than to run them.
///
/// # Errors
/// When the server refuses.
pub async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    options.options([("jit", "off")]).connect().await
}

/// The lines of a plan, from statements that end with an `explain`.
///
/// # Panics
/// When the database refuses them.
pub async fn plan(url: &str, statements: &str) -> String {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    let lines: Vec<String> = if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        connection.fetch_all(statements).await.unwrap().iter().map(|row| row.get("detail")).collect()
    } else {
        let mut connection = connect(url).await.unwrap();
        connection.fetch_all(statements).await.unwrap().iter().map(|row| row.get(0)).collect()
    };
    lines.join("\n")
}
