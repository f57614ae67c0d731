//! How fast all runs are exported, next to `psql \copy` of the same rows.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failed;
use crate::asking::write_config;
use crate::load::History;
use crate::report::{self, Target};

const MEMORY_MIB: f64 = 256.0;

/// Measures, prints, and says whether the targets are met.
pub(crate) async fn measure(binary: &Path, database: &str, history: &History) -> Result<bool, Failed> {
    let folder = tempfile::Builder::new().prefix("quotagraph-bench-").tempdir()?;
    write_config(folder.path(), history)?;
    #[expect(clippy::cast_precision_loss, reason = "a speed")]
    let runs = history.runs as f64;
    let file = folder.path().join("all.parquet");
    let mut export = Command::new(binary);
    export.args(["--config", "quotagraph.toml", "export", "snapshots", "--format", "parquet", "--output"]).arg(&file);
    let export = export.current_dir(folder.path()).env("DATABASE_URL", database).stderr(Stdio::null()).spawn()?;
    let (export_s, peak_mib) = finish(export).await?;
    let size_mb = f64::from(u32::try_from(std::fs::metadata(&file)?.len() / 1000).unwrap_or(u32::MAX)) / 1000.0;
    std::fs::remove_file(&file)?;

    let copy = format!(
        "\\copy (select tenant_id, space_type, first_at, last_at, interval_s, samples, allocated_gb, total_gb from space_snapshots \
         order by tenant_id, space_type, first_at) to '{}'",
        folder.path().join("all.tsv").display()
    );
    let copy = Command::new("psql").args(["-X", "-q", "-d", database, "-c", &copy]).stdout(Stdio::null()).spawn()?;
    let (copy_s, _) = finish(copy).await?;

    println!("\nexported, {runs} runs:");
    report::print("psql \\copy, sorted by tenant", "rows/s", 0, &[runs / copy_s], Target::None);
    let speed = [runs / export_s];
    let mut met = report::print("Parquet export of all runs", "rows/s", 0, &speed, Target::AtLeast(runs / copy_s / 2.0));
    report::print("size of the file", "MB", 0, &[size_mb], Target::None);
    met &= report::print("resident memory at its peak", "MiB", 0, &[peak_mib], Target::Below(MEMORY_MIB));
    Ok(met)
}

/// The seconds that a process takes, and its memory at the peak.
pub(crate) async fn finish(mut process: Child) -> Result<(f64, f64), Failed> {
    let started = Instant::now();
    let mut peak_mib = 0.0;
    loop {
        if let Some(status) = process.try_wait()? {
            return if status.success() {
                Ok((started.elapsed().as_secs_f64(), peak_mib))
            } else {
                Err(format!("it ended with {status}").into())
            };
        }
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak_mib = kib.map_or(peak_mib, |kib| kib / 1024.0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
