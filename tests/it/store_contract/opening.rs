//! Opening, migrating and refusing databases.

use super::{Home, Keep, at, history, open, run, seen};

contract![
    migrating_twice_names_the_migrations_once,
    replicas_may_migrate_at_once,
    an_empty_database_opens_but_is_not_ready,
    a_database_of_something_else_is_refused,
    a_table_named_like_ours_is_not_ours,
    a_newer_database_is_refused,
    a_changed_migration_is_refused,
    data_survives_reopening,
];

async fn migrating_twice_names_the_migrations_once(home: Home) {
    let store = home.try_open().await.unwrap();
    let applied = store.migrate().await.unwrap();
    assert_eq!(applied.first().unwrap(), "0001_tenants_and_snapshots");
    assert!(applied.is_sorted());
    assert_eq!(store.migrate().await.unwrap(), Vec::<String>::new());
    store.ping().await.unwrap();
}

async fn replicas_may_migrate_at_once(home: Home) {
    let (a, b, c) = (home.try_open().await.unwrap(), home.try_open().await.unwrap(), home.try_open().await.unwrap());
    let (a, b, c) = tokio::join!(a.migrate(), b.migrate(), c.migrate());
    let mut applied = [a.unwrap(), b.unwrap(), c.unwrap()].concat();
    applied.sort();
    let once = applied.clone();
    applied.dedup();
    assert_eq!(applied, once);
    assert!(!applied.is_empty());
}

async fn an_empty_database_opens_but_is_not_ready(home: Home) {
    let store = home.try_open().await.unwrap();
    let refusal = store.ping().await.unwrap_err().to_string();
    assert!(refusal.contains("quotagraph migrate"), "{refusal}");
}

async fn a_database_of_something_else_is_refused(home: Home) {
    let before = home.try_open().await.unwrap();
    home.execute("create table customers (id integer)").await;
    for refusal in [home.try_open().await.err(), before.migrate().await.err(), before.ping().await.err()] {
        let refusal = refusal.unwrap().to_string();
        assert!(refusal.contains("customers") && refusal.contains("a database of its own"), "{refusal}");
    }
}

async fn a_table_named_like_ours_is_not_ours(home: Home) {
    home.execute("create table tenants (id integer)").await;
    assert!(home.try_open().await.err().unwrap().to_string().contains("(tenants)"));
}

async fn a_newer_database_is_refused(home: Home) {
    let store = home.open().await;
    home.execute("insert into quotagraph_migrations (name, checksum) values ('9999_from_the_future', '')").await;
    for refusal in [home.try_open().await.err(), store.migrate().await.err(), store.ping().await.err()] {
        let refusal = refusal.unwrap().to_string();
        assert!(refusal.contains("newer version") && refusal.contains("9999_from_the_future"), "{refusal}");
    }
}

async fn a_changed_migration_is_refused(home: Home) {
    home.open().await;
    home.execute("update quotagraph_migrations set checksum = 'another'").await;
    assert!(home.try_open().await.err().unwrap().to_string().contains("another build"));
}

async fn data_survives_reopening(home: Home) {
    let store = home.open_with(&["acme"]).await;
    store.record(&[seen("acme", 0, &[(0, 5, 1000)])]).await.unwrap();
    store.close().await;
    let store = home.open().await;
    assert_eq!(history(&store, "acme").await, [run(0, 0, 0, 1, 5)]);
    assert_eq!(store.earliest_due().await.unwrap(), Some(at(0)));
}

#[tokio::test]
async fn a_url_that_is_not_understood_is_refused_without_its_password() {
    for url in ["mysql://root:hunter2@host/db", "hunter2", "postgres://user:hunter2@host:notaport/db", "sqlite::memory:", "sqlite:"]
    {
        let refusal = open(url).await.err().unwrap().to_string();
        assert!(refusal.contains("sqlite:PATH") || refusal.contains("postgres://"), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
}

#[tokio::test]
async fn a_sqlite_file_in_a_missing_folder_is_refused_with_its_path() {
    let refusal = open("sqlite:no/such/folder/quota.db").await.err().unwrap().to_string();
    assert!(refusal.contains("no/such/folder/quota.db") && refusal.contains("folder must exist"), "{refusal}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "not a database, but long enough to have a header. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let refusal = open(&format!("sqlite:{}", path.display())).await.err().unwrap().to_string();
    assert!(refusal.contains("no SQLite database"), "{refusal}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn a_foreign_sqlite_file_is_refused_unchanged() {
    let home = Home::sqlite();
    home.execute("create table customers (id integer)").await;
    let Keep::Sqlite { _folder: folder } = &home.keep else { unreachable!("it is one") };
    let before = std::fs::read(folder.path().join("quota.db")).unwrap();
    assert!(home.try_open().await.is_err());
    assert_eq!(std::fs::read(folder.path().join("quota.db")).unwrap(), before);
}

#[tokio::test]
async fn a_postgres_database_that_does_not_exist_is_named() {
    let home = Home::postgres().await;
    let mut url = url::Url::parse(&home.url).unwrap();
    url.set_path("no_such_database");
    let refusal = open(url.as_str()).await.err().unwrap().to_string();
    assert!(refusal.contains("no_such_database") && refusal.contains("create it"), "{refusal}");
}

#[tokio::test]
async fn tables_of_a_postgres_extension_are_not_foreign() {
    let home = Home::postgres().await;
    // Stands for an extension that keeps tables in the schema, such as PostGIS; plpgsql is there in every database.
    home.execute("create table spatial_ref_sys (id integer); alter extension plpgsql add table spatial_ref_sys").await;
    home.try_open().await.unwrap().migrate().await.unwrap();
}
