//! Tells the program which commit it is built from and when, for `quotagraph --version`.

use std::env;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// What the program is made of. When only other files change, it stays what it is, and need not be built again.
const SOURCES: [&str; 6] = ["assets", "build.rs", "Cargo.lock", "Cargo.toml", "migrations", "src"];

#[expect(clippy::disallowed_methods, reason = "a build has no clock of its own")]
fn main() {
    if env::var("PROFILE").as_deref() != Ok("release") {
        // While one works on it, each build would be another one.
        println!("cargo::rerun-if-changed=build.rs");
        return;
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    for variable in ["QUOTAGRAPH_COMMIT", "SOURCE_DATE_EPOCH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    if let Some(commit) = env::var("QUOTAGRAPH_COMMIT")
        .ok()
        .filter(|given| !given.is_empty())
        .or_else(commit_of_package)
        .or_else(commit_of_repository)
    {
        println!("cargo::rustc-env=QUOTAGRAPH_COMMIT={commit}");
    }
    // https://reproducible-builds.org/specs/source-date-epoch/
    let given = env::var("SOURCE_DATE_EPOCH").ok();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs().to_string());
    if let Some(seconds) = given.or_else(now) {
        println!("cargo::rustc-env=QUOTAGRAPH_BUILT_AT={seconds}");
    }
}

/// Of a package, where cargo has noted it.
fn commit_of_package() -> Option<String> {
    let noted = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let commit = noted.split("\"sha1\": \"").nth(1)?.split('"').next()?;
    Some(commit.get(..12)?.to_owned())
}

/// Of a clone; `-dirty` when files were changed since.
fn commit_of_repository() -> Option<String> {
    // Not that of a repository around an unpacked archive.
    std::fs::metadata(".git").ok()?;
    let output = Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
