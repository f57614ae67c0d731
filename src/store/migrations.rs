//! The migrations of both backends, and whether a database is one that this version may use.

use sha2::{Digest, Sha256};

use super::error::StoreError;

/// The table that says which migrations a database has, and by being there that the database is ours.
pub(super) const MARK: &str = "quotagraph_migrations";

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub(super) struct Migration {
    /// File name without its ending, such as `0001_tenants_and_snapshots`. Starts with its number.
    pub name: &'static str,
    /// The statements.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($backend:literal: $($name:literal),+ $(,)?) => {
        &[$(Migration { name: $name, sql: include_str!(concat!("../../migrations/", $backend, "/", $name, ".sql")) }),+]
    };
}

/// Those of Postgres, oldest first.
pub(super) const POSTGRES: &[Migration] = migrations!("postgres": "0001_tenants_and_snapshots", "0002_tenant_numbers", "0003_change_feed", "0004_fleet_log", "0005_analyst_views", "0006_imports", "0007_retention", "0008_reduced_imports");

/// Those of `SQLite`, oldest first.
pub(super) const SQLITE: &[Migration] = migrations!("sqlite": "0001_tenants_and_snapshots", "0002_tenant_numbers", "0003_change_feed", "0004_fleet_log", "0005_analyst_views", "0006_imports", "0007_retention", "0008_reduced_imports");

impl Migration {
    /// The SHA-256 of the statements, in hex. Line ends do not count, because some checkouts change them.
    pub(super) fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql.replace("\r\n", "\n")))
    }
}

/// A migration that a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Applied {
    pub name: String,
    /// Its checksum at that time.
    pub checksum: String,
}

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Empty,
    /// Tables, but not our mark.
    Foreign(Vec<String>),
    /// Our mark, with these migrations by name.
    Ours(Vec<Applied>),
}

/// The migrations that a database still lacks, oldest first.
///
/// # Errors
/// [`StoreError::Unusable`] when the database belongs to something else, is newer than this version, or has had other migrations.
pub(super) fn missing<'a>(known: &'a [Migration], found: &Found) -> Result<&'a [Migration], StoreError> {
    let applied = match found {
        Found::Empty => return Ok(known),
        Found::Foreign(tables) => {
            return Err(StoreError::Unusable(format!(
                "the database holds tables that are not quotagraph's ({}): give quotagraph a database of its own",
                name_some(tables)
            )));
        }
        Found::Ours(applied) => applied,
    };
    if let Some(unknown) = applied.iter().find(|a| known.iter().all(|k| k.name != a.name)) {
        return Err(StoreError::Unusable(format!(
            "the database was migrated by a newer version of quotagraph ({} is not known to this one): upgrade quotagraph",
            unknown.name
        )));
    }
    for (have, want) in applied.iter().zip(known) {
        if have.name != want.name || have.checksum != want.checksum() {
            return Err(StoreError::Unusable(format!(
                "the database was migrated by another build of quotagraph ({} differs): use that build, or a new database",
                want.name
            )));
        }
    }
    Ok(&known[applied.len()..])
}

/// Agrees when the database has all migrations.
///
/// # Errors
/// [`StoreError::Unusable`] when it lacks some, else as [`missing`].
pub(super) fn require_all(known: &[Migration], found: &Found) -> Result<(), StoreError> {
    match missing(known, found)?.first() {
        None => Ok(()),
        Some(first) => {
            Err(StoreError::Unusable(format!("the database lacks migrations, from {} on: run `quotagraph migrate`", first.name)))
        }
    }
}

fn name_some(tables: &[String]) -> String {
    let mut text = tables.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if tables.len() > 3 {
        text.push_str(", …");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Applied, Found, Migration, POSTGRES, SQLITE, missing, require_all};

    const KNOWN: &[Migration] = &[Migration { name: "0001_a", sql: "select 1;" }, Migration { name: "0002_b", sql: "select 2;" }];

    fn applied(known: &[Migration]) -> Vec<Applied> {
        known.iter().map(|m| Applied { name: m.name.into(), checksum: m.checksum() }).collect()
    }

    #[test]
    fn every_file_is_named_in_the_list_in_order() {
        for (folder, list) in [("postgres", POSTGRES), ("sqlite", SQLITE)] {
            let path = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            let mut files: Vec<_> =
                std::fs::read_dir(path).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
            files.sort();
            let named: Vec<_> = list.iter().map(|m| format!("{}.sql", m.name)).collect();
            assert_eq!(files, named);
        }
    }

    #[test]
    fn an_older_database_lacks_the_rest() {
        assert_eq!(missing(KNOWN, &Found::Empty).unwrap().len(), 2);
        let found = Found::Ours(applied(&KNOWN[..1]));
        assert_eq!(missing(KNOWN, &found).unwrap()[0].name, "0002_b");
        assert!(require_all(KNOWN, &found).unwrap_err().to_string().contains("quotagraph migrate"));
        assert!(require_all(KNOWN, &Found::Ours(applied(KNOWN))).is_ok());
    }

    #[test]
    fn a_newer_a_changed_and_a_foreign_database_are_refused() {
        let newer = missing(&KNOWN[..1], &Found::Ours(applied(KNOWN))).unwrap_err().to_string();
        assert!(newer.contains("newer") && newer.contains("0002_b"), "{newer}");
        let mut changed = applied(KNOWN);
        changed[0].checksum = "0".into();
        assert!(missing(KNOWN, &Found::Ours(changed)).unwrap_err().to_string().contains("0001_a differs"));
        let tables = ["a", "b", "c", "d"].map(String::from).to_vec();
        assert!(missing(KNOWN, &Found::Foreign(tables)).unwrap_err().to_string().contains("(a, b, c, …)"));
    }
}
