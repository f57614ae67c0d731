//! Why an export fails.

use std::error::Error;

use crate::store::StoreError;

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
    /// Whoever takes the file may not have it any more.
    #[error("the caller may not have it any more")]
    TakenBack,
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
