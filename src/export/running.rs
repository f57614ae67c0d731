//! Running an export: one task reads, and threads that may block make rows and bytes of what was read.

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::ExportPlan;
use super::encoder::Encoder;
use super::error::ExportError;
use super::plan::Content;
use super::reading::{Batch, Part, read};
use super::rows::{push_point, push_run};
use crate::quota::TimeRange;
use crate::quota::usage;
use crate::store::SharedStore;

/// Bytes that are handed on at once, roughly.
const PIECE: usize = 256 * 1024;

/// A piece of a file.
#[derive(Debug)]
pub struct Piece {
    pub bytes: Bytes,
    /// The rows that it brings. Never too few: where a row stands in two pieces, or its format gathers rows, they count with the first
    /// piece that has something of them.
    pub rows: u64,
}

/// What a file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
}

impl ExportPlan {
    /// Reads the history and hands on the file piece by piece, as fast as it is taken. `progress` is told how many more tenants are done.
    ///
    /// # Errors
    /// When the history cannot be read or nobody takes the file. What was handed on until then is not a whole file; there is no last piece.
    pub async fn run(
        self,
        store: SharedStore,
        to: mpsc::Sender<Piece>,
        progress: impl Fn(usize) + Send + Sync,
    ) -> Result<Written, ExportError> {
        let encoder = Encoder::new(self.format, self.columns())?;
        let (batches, read_batches) = mpsc::channel(1);
        let reading = read(&self, &store, batches);
        let writing = write(&self, encoder, read_batches, &to, progress);
        // A failure of one ends the other at once: the end of the file is written only after both have done all.
        let ((), (encoder, mut made)) = tokio::try_join!(reading, writing)?;
        let last = spawn_blocking(move || encoder.finish()).await.map_err(ExportError::encoding)??;
        made.hand_on(last).await?;
        Ok(made.written)
    }
}

/// Makes rows and bytes of all batches. Gives the encoder with what it still keeps.
async fn write<'a>(
    plan: &ExportPlan,
    encoder: Encoder,
    mut batches: mpsc::Receiver<Batch>,
    to: &'a mpsc::Sender<Piece>,
    progress: impl Fn(usize),
) -> Result<(Encoder, Made<'a>), ExportError> {
    let mut work = Work { encoder, parts: VecDeque::new(), plan: plan.clone(), rows: 0 };
    let mut made = Made { to, written: Written::default(), untold: 0 };
    while let Some(batch) = batches.recv().await {
        work.parts.extend(batch.parts);
        while !work.parts.is_empty() {
            let bytes;
            (work, bytes) = spawn_blocking(move || work.go_on()).await.map_err(ExportError::encoding)??;
            made.count(mem::take(&mut work.rows));
            made.hand_on(bytes).await?;
        }
        progress(batch.tenants);
    }
    Ok((work.encoder, made))
}

/// What was made so far, and whom it is handed on to.
struct Made<'a> {
    to: &'a mpsc::Sender<Piece>,
    written: Written,
    /// Rows that were written since the last piece.
    untold: u64,
}

impl Made<'_> {
    fn count(&mut self, rows: u64) {
        self.written.rows += rows;
        self.untold += rows;
    }

    async fn hand_on(&mut self, bytes: Vec<u8>) -> Result<(), ExportError> {
        let mut bytes = Bytes::from(bytes);
        self.written.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let piece = Piece { bytes: bytes.split_to(bytes.len().min(PIECE)), rows: mem::take(&mut self.untold) };
            self.to.send(piece).await.map_err(|_| ExportError::Gone)?;
        }
        Ok(())
    }
}

/// What is to be done by a thread that may block.
struct Work {
    encoder: Encoder,
    parts: VecDeque<Part>,
    plan: ExportPlan,
    /// Rows that were written and not counted yet.
    rows: u64,
}

impl Work {
    /// Goes on until a piece is ready or nothing is left to do.
    fn go_on(mut self) -> Result<(Self, Vec<u8>), ExportError> {
        while self.encoder.ready() < PIECE
            && let Some(part) = self.parts.pop_front()
        {
            self.write_part(part)?;
        }
        let bytes = self.encoder.take()?;
        Ok((self, bytes))
    }

    fn write_part(&mut self, part: Part) -> Result<(), ExportError> {
        match (part, &self.plan.content) {
            (Part::Runs(tenant, runs), _) => {
                for run in &runs {
                    push_run(&mut self.encoder, &tenant, run)?;
                }
                self.rows += runs.len() as u64;
            }
            (Part::Usage(tenant, runs, chunk), Content::Usage { buckets, fill }) => {
                let buckets = &buckets[chunk];
                // The coverage of the whole series is not a part of the file.
                let range = buckets.first().map_or(TimeRange { from: self.plan.now, to: self.plan.now }, |first| *first);
                for point in &usage::series(&runs, buckets, range, self.plan.now, *fill).points {
                    push_point(&mut self.encoder, &tenant, self.plan.space_type, point)?;
                }
                self.rows += buckets.len() as u64;
            }
            (Part::Usage(..), Content::Snapshots { .. }) => {}
        }
        Ok(())
    }
}
