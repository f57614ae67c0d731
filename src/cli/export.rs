//! `quotagraph export usage|snapshots`

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::progress::progress_bar;
use super::{Failed, load_config, open_existing_store, output, system_clock};
use crate::export::{ExportError, ExportKind, Format, InvalidParam, Params, Piece};
use crate::shown;

/// Pieces that are made ahead of what is written.
const AHEAD: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Averages, minima, maxima, first and last values of each bucket of time.
    Usage {
        #[command(flatten)]
        common: Common,
        /// The length of a bucket, as an ISO 8601 duration (PT5M, PT1H, P1D, P1W, P1M) [default: P1D].
        #[arg(long, value_name = "DURATION")]
        interval: Option<String>,
        /// The IANA time zone whose calendar the buckets follow [default: UTC].
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// What a bucket without observations says: NONE, or LAST for the last value before it [default: NONE].
        #[arg(long, value_name = "FILL")]
        fill: Option<String>,
    },
    /// The recorded snapshots, run by run: unchanged consecutive samples are one run.
    Snapshots {
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Only this tenant; may be repeated [default: all tenants].
    #[arg(long = "tenant", value_name = "ID")]
    tenants: Vec<String>,
    /// Only tenants with this label; may be repeated, and then all of them are needed.
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// The start, RFC 3339 [default: for usage 30 days before the end, for snapshots the first one].
    #[arg(long, value_name = "INSTANT")]
    from: Option<String>,
    /// The end, exclusive, RFC 3339 [default: now].
    #[arg(long, value_name = "INSTANT")]
    to: Option<String>,
    /// Only this space type; without it usage is that of the sum over all.
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    space_type: Option<String>,
    /// csv, ndjson or parquet [default: what the output's ending says, else csv].
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The file to write; it is there once it is whole [default: stdout].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) async fn run(config: Option<&Path>, args: Args) -> Result<ExitCode, Failed> {
    let config = load_config(config)?;
    let (kind, mut params, output) = args.what.into_params();
    if params.format.is_none() {
        params.format = output.as_deref().and_then(format_of_ending).map(|format| format.name().to_owned());
    }
    let store = open_existing_store(&config).await?;
    store.ping().await?;
    let tenants = store.tenants().await?;
    let visible: Vec<_> = tenants.iter().collect();
    let plan = params.plan(kind, &visible, system_clock().now()).map_err(|invalid| as_flag(&invalid))?;
    if output.is_none() && plan.format == Format::Parquet && io::stdout().is_terminal() {
        return Err("Parquet is not for terminals; name a file with --output".into());
    }
    let target = Target::open(output)?;
    let bar = progress_bar("exporting", plan.tenants.len());
    // A bar would stand in the middle of what is printed.
    if matches!(target, Target::Stdout) && io::stdout().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let (to, pieces) = mpsc::channel(AHEAD);
    let writing = spawn_blocking(move || target.write_all(pieces));
    let progress = bar.clone();
    let ran = plan.run(store.clone(), to, move |tenants| progress.inc(u64::try_from(tenants).unwrap_or(u64::MAX))).await;
    bar.finish_and_clear();
    let (target, wrote) = writing.await?;
    store.close().await;
    match (ran, wrote) {
        (Ok(written), Ok(())) => {
            if let Some(file) = target.complete()? {
                output::say(format_args!("wrote {} rows to {}", written.rows, file.display()));
            }
            Ok(ExitCode::SUCCESS)
        }
        // A reader that has gone away (`quotagraph export snapshots | head`) is no failure.
        (_, Err(cause)) if cause.kind() == ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        (ran, wrote) => {
            target.discard();
            wrote.map_err(|cause| format!("the output cannot be written: {cause}"))?;
            Err(ran.err().unwrap_or(ExportError::Gone).into())
        }
    }
}

impl What {
    fn into_params(self) -> (ExportKind, Params, Option<PathBuf>) {
        let (kind, common, interval, time_zone, fill) = match self {
            Self::Usage { common, interval, time_zone, fill } => (ExportKind::Usage, common, interval, time_zone, fill),
            Self::Snapshots { common } => (ExportKind::Snapshots, common, None, None, None),
        };
        let Common { tenants, labels, from, to, space_type, format, output } = common;
        (kind, Params { tenants, labels, from, to, interval, time_zone, space_type, fill, format }, output)
    }
}

/// The error of a parameter, named as the command line does: `--time-zone` for `timeZone`.
fn as_flag(invalid: &InvalidParam) -> Failed {
    let mut flag = String::from("--");
    for letter in invalid.name.chars() {
        if letter.is_ascii_uppercase() {
            flag.push('-');
        }
        flag.push(letter.to_ascii_lowercase());
    }
    format!("{flag}: {}", invalid.mend).into()
}

fn format_of_ending(file: &Path) -> Option<Format> {
    file.extension()?.to_str()?.parse().ok()
}

/// Where the file goes.
enum Target {
    Stdout,
    /// Something that is there and is no plain file, such as a pipe.
    Device(File),
    /// A file, under another name until it is whole.
    File {
        partial: PathBuf,
        name: PathBuf,
        file: File,
    },
}

impl Target {
    fn open(output: Option<PathBuf>) -> Result<Self, Failed> {
        let Some(name) = output else { return Ok(Self::Stdout) };
        let create = |path: &Path| File::create(path).map_err(|cause| format!("cannot write {}: {cause}", shown::path(path)));
        if name.metadata().is_ok_and(|found| !found.is_file()) {
            return Ok(Self::Device(create(&name)?));
        }
        let mut partial = OsString::from(&name);
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let file = create(&partial)?;
        Ok(Self::File { partial, name, file })
    }

    /// Writes what comes, to the end.
    fn write_all(self, mut pieces: mpsc::Receiver<Piece>) -> (Self, io::Result<()>) {
        let mut copy = |to: &mut dyn Write| {
            while let Some(piece) = pieces.blocking_recv() {
                to.write_all(&piece.bytes)?;
            }
            to.flush()
        };
        let wrote = match &self {
            Self::Stdout => copy(&mut io::stdout().lock()),
            Self::Device(file) | Self::File { file, .. } => copy(&mut BufWriter::new(file)),
        };
        (self, wrote)
    }

    /// Removes what is not whole.
    fn discard(self) {
        if let Self::File { partial, .. } = self {
            // What cannot be removed is named as what it is.
            let _ = std::fs::remove_file(partial);
        }
    }

    /// Gives a whole file its name, and tells it.
    fn complete(self) -> Result<Option<PathBuf>, Failed> {
        let Self::File { partial, name, file } = self else { return Ok(None) };
        file.sync_all()
            .and_then(|()| std::fs::rename(&partial, &name))
            .map_err(|cause| format!("cannot give {} its name {}: {cause}", shown::path(&partial), shown::path(&name)))?;
        Ok(Some(name))
    }
}
