//! Running an export: one task reads, and threads that may block make rows and bytes of what was read.

use std::collections::VecDeque;
use std::error::Error;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::Plan;
use super::encoder::Encoder;
use super::plan::Content;
use super::reading::{Batch, Part, read};
use super::rows::{push_point, push_run};
use crate::quota::TimeRange;
use crate::quota::usage;
use crate::store::{SharedStore, StoreError};

/// Bytes that are handed on at once, roughly.
const PIECE: usize = 256 * 1024;

/// Why an export ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The history cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be written, which is a fault of ours.
    #[error("a row cannot be written")]
    Encoding(#[source] Box<dyn Error + Send + Sync>),
    /// Nobody takes the file any more.
    #[error("nobody takes the file any more")]
    Gone,
}

impl ExportError {
    pub(super) fn encoding(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Encoding(cause.into())
    }
}

impl From<parquet::errors::ParquetError> for ExportError {
    fn from(cause: parquet::errors::ParquetError) -> Self {
        Self::encoding(cause)
    }
}

/// What a file came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
}

impl Plan {
    /// Reads the history and hands on the file piece by piece, as fast as it is taken. `progress` is told how many more tenants are done.
    ///
    /// # Errors
    /// When the history cannot be read or nobody takes the file. What was handed on until then is not a whole file; there is no last piece.
    pub async fn run(
        self,
        store: SharedStore,
        to: mpsc::Sender<Bytes>,
        progress: impl Fn(usize) + Send + Sync,
    ) -> Result<Written, ExportError> {
        let encoder = Encoder::new(self.format, self.columns())?;
        let (batches, read_batches) = mpsc::channel(1);
        let reading = read(&self, &store, batches);
        let writing = write(&self, encoder, read_batches, &to, progress);
        // A failure of one ends the other at once: the end of the file is written only after both have done all.
        let ((), (encoder, mut written)) = tokio::try_join!(reading, writing)?;
        let last = spawn_blocking(move || encoder.finish()).await.map_err(ExportError::encoding)??;
        hand_on(&to, last, &mut written).await?;
        Ok(written)
    }
}

/// Makes rows and bytes of all batches. Gives the encoder with what it still keeps.
async fn write(
    plan: &Plan,
    encoder: Encoder,
    mut batches: mpsc::Receiver<Batch>,
    to: &mpsc::Sender<Bytes>,
    progress: impl Fn(usize),
) -> Result<(Encoder, Written), ExportError> {
    let mut work = Work { encoder, parts: VecDeque::new(), plan: plan.clone(), rows: 0 };
    let mut written = Written::default();
    while let Some(batch) = batches.recv().await {
        work.parts.extend(batch.parts);
        while !work.parts.is_empty() {
            let bytes;
            (work, bytes) = spawn_blocking(move || work.go_on()).await.map_err(ExportError::encoding)??;
            hand_on(to, bytes, &mut written).await?;
        }
        progress(batch.tenants);
    }
    written.rows = work.rows;
    Ok((work.encoder, written))
}

async fn hand_on(to: &mpsc::Sender<Bytes>, bytes: Vec<u8>, written: &mut Written) -> Result<(), ExportError> {
    let mut bytes = Bytes::from(bytes);
    written.bytes += bytes.len() as u64;
    while !bytes.is_empty() {
        let piece = bytes.split_to(bytes.len().min(PIECE));
        to.send(piece).await.map_err(|_| ExportError::Gone)?;
    }
    Ok(())
}

/// What is to be done by a thread that may block.
struct Work {
    encoder: Encoder,
    parts: VecDeque<Part>,
    plan: Plan,
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
