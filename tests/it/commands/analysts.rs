//! `migrate --with-analyst-role`: what such a role can read, and what it cannot.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::postgres::{TestDatabase, database};
use crate::support::process::{Finished, quotagraph, run};
use crate::support::sql::{connect, plan, rows, try_rows};

const VIEWS: [&str; 4] = ["usage_tenants", "usage_runs", "usage_latest", "usage_daily"];

/// Two tenants, alpha with 111 GB and beta with 222 GB, and a role with a name that is nobody else's on the server.
struct Site {
    database: TestDatabase,
    folder: tempfile::TempDir,
    role: String,
}

impl Site {
    async fn new() -> Self {
        let database = database().await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("quotagraph.toml"), format!("[database]\nurl = \"{}\"", database.url)).unwrap();
        let role = format!("analysts {:016x}", rand::random::<u64>());
        let site = Self { database, folder, role };
        site.migrate(&[]).await;
        site.execute(
            "insert into tenants (tenant_id, name, labels, space_types, last_observed_at, holds_until, last_error_message)
             select v.*, '{\"region\": \"north\"}', '{0}', '2026-03-02', '2026-03-03', 'secret'
             from (values ('alpha', 'Alpha'), ('beta', 'Beta')) v;
             insert into space_runs (first_at, last_at, allocated_gb, total_gb, tenant_no, space_type, interval_s, samples)
             select '2026-03-01', '2026-03-02', 111 * tenant_no, 1000, tenant_no, 0, 300, 289 from tenants;
             analyze",
        )
        .await;
        site
    }

    async fn migrate(&self, args: &[&str]) -> Finished {
        run(quotagraph(self.folder.path(), &[&["migrate"], args].concat())).await
    }

    /// Sets up the role; with a login, so that the tests can be it.
    async fn grant(&self, tenants: &[&str]) -> Finished {
        let finished = self.migrate(&[&["--with-analyst-role", self.role.as_str()], tenants].concat()).await;
        self.execute(&format!("alter role \"{}\" login", self.role)).await;
        finished
    }

    async fn execute(&self, statements: &str) {
        let mut connection = PgConnection::connect(&self.database.url).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
    }

    /// The URL of the database for the role.
    fn url(&self) -> String {
        let mut url = url::Url::parse(&self.database.url).unwrap();
        url.set_username(&self.role).unwrap();
        url.into()
    }

    /// The tenants that the role reads in a view.
    async fn tenants_in(&self, view: &str) -> Vec<String> {
        let found = rows(&self.url(), &format!("select distinct tenant from {view} order by 1")).await;
        found.iter().map(|row| row["tenant"].as_str().unwrap().to_owned()).collect()
    }

    /// The text that COPY gives the role.
    async fn copied(&self, query: &str) -> Result<String, sqlx::Error> {
        use futures_util::TryStreamExt as _;
        let mut connection = connect(&self.url()).await?;
        let chunks = connection.copy_out_raw(&format!("copy ({query}) to stdout")).await?;
        let chunks = chunks.try_collect::<Vec<_>>().await?;
        Ok(String::from_utf8(chunks.concat()).unwrap())
    }
}

impl Drop for Site {
    /// The role is the server's, which may stay.
    fn drop(&mut self) {
        let (url, role) = (self.database.url.clone(), self.role.clone());
        let forget = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&url).await.unwrap();
                let statements = format!("drop owned by \"{role}\"; drop role \"{role}\"");
                sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.map(drop)
            })
        };
        let dropped = std::thread::spawn(forget).join();
        assert!(matches!(dropped, Ok(Ok(()))) || std::thread::panicking(), "{dropped:?}");
    }
}

#[tokio::test]
async fn a_role_reads_the_tenants_that_it_is_granted_and_says_which() {
    let site = Site::new().await;
    for (tenants, said, read) in [
        (&[][..], "no tenant yet: name some with --analyst-tenants", &[][..]),
        (&["--analyst-tenants", "alpha"], "alpha", &["alpha"]),
        (&[], "alpha", &["alpha"]),
        (&["--analyst-tenants", "*"], "all tenants", &["alpha", "beta"]),
        (&["--analyst-tenants", "beta, gamma"], "beta", &["beta"]),
    ] {
        let finished = site.grant(tenants).await;
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(finished.stdout.ends_with(&format!("role {} reads {said}\n", site.role)), "{finished:?}");
        assert_eq!(finished.stderr.contains("no tenant is known as gamma"), tenants.contains(&"beta, gamma"), "{finished:?}");
        for view in VIEWS {
            assert_eq!(site.tenants_in(view).await, read, "{view}");
        }
    }
}

#[tokio::test]
async fn what_is_not_granted_is_read_by_no_statement() {
    let site = Site::new().await;
    site.grant(&["--analyst-tenants", "alpha"]).await;
    for view in VIEWS {
        let copied = site.copied(&format!("select * from {view}")).await.unwrap();
        assert!(copied.contains("alpha") && !copied.to_lowercase().contains("beta") && !copied.contains("222"), "{copied}");
    }
    // A function that tells what it is given, and would be asked first, as it costs nothing.
    let leak = "create function pg_temp.leak(anyelement) returns boolean cost 0.0000001 language plpgsql
        as $$ begin if $1::text ~* 'beta|222' then raise exception 'leaked %', $1; end if; return true; end $$";
    let mut connection = connect(&site.url()).await.unwrap();
    sqlx::raw_sql(leak).execute(&mut connection).await.unwrap();
    for (view, columns) in [
        ("usage_tenants", &["tenant", "name"][..]),
        ("usage_runs", &["tenant", "allocated_gb", "first_observed_at"]),
        ("usage_latest", &["tenant", "allocated_gb"]),
        ("usage_daily", &["tenant", "allocated_gb_min"]),
    ] {
        for setting in ["", "set enable_indexscan = off; set enable_bitmapscan = off; set enable_nestloop = off;"] {
            for column in columns {
                let statements = format!("{setting} select count(*) from {view} where pg_temp.leak({column})");
                sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await.unwrap();
            }
        }
    }
    for relation in [
        "tenants",
        "space_changes",
        "imports",
        "import_runs",
        "space_runs",
        "space_snapshots",
        "fleet_changes",
        "fleet_days",
        "fleet_openings",
        "analyst_tenants",
        "visible_tenants",
        "quotagraph_migrations",
    ] {
        let refused = try_rows(&site.url(), &format!("select 1 from {relation}")).await.unwrap_err().to_string();
        assert!(refused.contains("permission denied"), "{relation}: {refused}");
        assert!(site.copied(&format!("select * from {relation}")).await.unwrap_err().to_string().contains("permission denied"));
    }
    for view in VIEWS {
        let refused = try_rows(&site.url(), &format!("with w as (delete from {view} returning 1) select * from w")).await;
        assert!(refused.is_err(), "{view}");
    }
    let listed =
        rows(&site.url(), "select table_name from information_schema.tables where table_schema = 'public' order by 1").await;
    assert_eq!(listed.len(), VIEWS.len(), "{listed:?}");
    assert_eq!(rows(&site.url(), "select * from pg_stats where schemaname = 'public'").await.len(), 0);
    assert_eq!(rows(&site.url(), "select * from pg_stats_ext where schemaname = 'public'").await.len(), 0);
}

/// A count of rows in a plan would tell whether a guess about another tenant is right.
#[tokio::test]
async fn plans_with_counts_do_not_depend_on_what_other_tenants_have() {
    let site = Site::new().await;
    site.grant(&["--analyst-tenants", "alpha"]).await;
    for setting in [
        "",
        "set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;",
        "set enable_nestloop = off;",
    ] {
        for (query, right, wrong) in [
            ("select * from usage_tenants where tenant = '?'", "beta", "zeta"),
            ("select * from usage_runs where tenant = '?'", "beta", "zeta"),
            ("select * from usage_daily where tenant = '?'", "beta", "zeta"),
            ("select * from usage_runs where allocated_gb = ?", "222", "223"),
            ("select * from usage_latest where allocated_gb = ?", "222", "223"),
            ("select * from usage_daily where allocated_gb_max = ?", "222", "223"),
        ] {
            let mut plans = Vec::new();
            for guess in [right, wrong] {
                let explain =
                    format!("{setting} explain (analyze, costs off, timing off, summary off) {}", query.replace('?', guess));
                plans.push(without_roles(&plan(&site.url(), &explain).await).replace(guess, "?"));
            }
            assert!(plans[0].contains("Rows Removed by Filter"), "{}", plans[0]);
            assert_eq!(plans[0], plans[1], "{query}");
        }
    }
}

/// A plan without how the roles are looked up: other tests make some meanwhile. Of the list of tenants it leaves the scan with its filter
/// and count.
fn without_roles(plan: &str) -> String {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut list = None;
    let keep = |line: &&str| {
        let (of_list, lines) = list.unwrap_or((usize::MAX, 0));
        if indent(line) <= of_list {
            list = line.trim_start().starts_with("CTE visible").then_some((indent(line), 0));
            return true;
        }
        list = Some((of_list, lines + 1));
        lines < 3
    };
    plan.lines().filter(keep).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn members_read_what_their_role_may_and_owners_everything() {
    let site = Site::new().await;
    site.grant(&["--analyst-tenants", "alpha"]).await;
    let member = format!("{} member", site.role);
    site.execute(&format!("create role \"{member}\" login in role \"{}\"", site.role)).await;
    let mut url = url::Url::parse(&site.database.url).unwrap();
    url.set_username(&member).unwrap();
    let read = rows(url.as_str(), "select tenant from usage_tenants").await;
    assert_eq!(read.len(), 1, "{read:?}");
    site.execute(&format!("drop role \"{member}\"")).await;
    assert_eq!(rows(&site.database.url, "select tenant from usage_tenants").await.len(), 2);
}

#[tokio::test]
async fn the_documented_set_up_works() {
    let site = Site::new().await;
    let blocks = |mark: &'static str| {
        include_str!("../../../docs/SQL.md").split(mark).skip(1).map(|block| block.split_once("```").unwrap().0.trim())
    };
    let commands = blocks("```sh postgres").collect::<Vec<_>>();
    assert_eq!(commands.len(), 1);
    let args = commands[0].strip_prefix("quotagraph ").unwrap().split(' ');
    let args = args.map(|arg| if arg == "analysts" { site.role.as_str() } else { arg }).collect::<Vec<_>>();
    let finished = run(quotagraph(site.folder.path(), &args)).await;
    // The tenants of the document are none of this database, so they are granted for when they come.
    assert!(finished.code == Some(0) && finished.stderr.contains("acme, northwind"), "{finished:?}");
    let names = |text: &str| {
        let text =
            text.replace("more_analysts", &format!("\"{} more\"", site.role)).replace("ana;", &format!("\"{} ana\";", site.role));
        let text = text.replace("role ana ", &format!("role \"{} ana\" ", site.role)).replace("'\"", "'").replace("\"'", "'");
        text.replace("grant analysts", &format!("grant \"{}\"", site.role)).replace("'analysts'", &format!("'{}'", site.role))
    };
    let blocks = blocks("```sql role").map(names).collect::<Vec<_>>();
    assert_eq!(blocks.len(), 2);
    for block in &blocks {
        site.execute(block).await;
    }
    let granted = rows(&site.database.url, "select role_name, tenant_id from analyst_tenants order by 2, 1").await;
    let granted =
        granted.iter().map(|row| (row["role_name"].as_str().unwrap(), row["tenant_id"].as_str().unwrap())).collect::<Vec<_>>();
    let more = format!("{} more", site.role);
    assert_eq!(granted, [(site.role.as_str(), "acme"), (more.as_str(), "acme"), (site.role.as_str(), "bluewater")]);
    site.execute(&format!("drop role \"{} ana\"; drop owned by \"{more}\"; drop role \"{more}\"", site.role)).await;
}

#[tokio::test]
async fn what_cannot_be_an_analysts_role_is_refused_with_what_to_do() {
    let site = Site::new().await;
    site.grant(&[]).await;
    let owner = url::Url::parse(&site.database.url).unwrap().username().to_owned();
    for (role, part) in [
        (owner.as_str(), "name another role"),
        ("pg_monitor", "can be no role"),
        (&"x".repeat(64), "can be no role"),
        ("public", "can be no role"),
    ] {
        let finished = site.migrate(&["--with-analyst-role", role]).await;
        assert!(finished.sentence().contains(part), "{finished:?}");
    }
    for wrong in [&["--analyst-tenants", "a"][..], &["--with-analyst-role", "x", "--analyst-tenants", "a b"]] {
        assert_eq!(site.migrate(wrong).await.code, Some(2));
    }
    std::fs::write(site.folder.path().join("quotagraph.toml"), "[database]\nurl = \"sqlite:quotagraph.db\"").unwrap();
    let finished = site.migrate(&["--with-analyst-role", "x"]).await;
    assert!(finished.sentence().contains("SQLite has no roles"), "{finished:?}");
}
