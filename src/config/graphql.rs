//! `[graphql]`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::error::Invalid;
use super::text;

/// What of GraphQL is offered.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Graphql {
    /// Whether documents may ask for the schema. Default true.
    pub introspection: bool,
    /// Whether the IDE is served. Default true.
    pub graphiql: bool,
    /// Whether documents of a file can be asked for by their ids, and whether others are executed too. Default `off`.
    pub trusted_documents: TrustedDocuments,
    /// The file of trusted documents; relative to the folder of the config file. Needed unless `trusted_documents` is `off`. Read again on
    /// SIGHUP and when it changes.
    pub trusted_documents_file: Option<PathBuf>,
    /// Bytes of automatic persisted queries that are remembered, at most; 0 switches them off. Default 8,388,608 (8 MiB).
    pub persisted_queries_bytes: u64,
}

/// What trusted documents are to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustedDocuments {
    /// There are none.
    #[default]
    Off,
    /// They can be asked for by their ids.
    Allow,
    /// They alone are executed.
    Only,
}

impl Default for Graphql {
    fn default() -> Self {
        Self {
            introspection: true,
            graphiql: true,
            trusted_documents: TrustedDocuments::Off,
            trusted_documents_file: None,
            persisted_queries_bytes: 8 * 1024 * 1024,
        }
    }
}

impl Graphql {
    /// The file of trusted documents, if they are used.
    #[must_use]
    pub fn trusted_file(&self) -> Option<&Path> {
        self.trusted_documents_file.as_deref().filter(|_| self.trusted_documents != TrustedDocuments::Off)
    }

    pub(super) fn validate(&self) -> Result<(), Invalid> {
        text::require_within("graphql.persisted_queries_bytes", self.persisted_queries_bytes, 0..=1 << 40)?;
        if self.trusted_documents != TrustedDocuments::Off && self.trusted_documents_file.is_none() {
            return Err(Invalid::new(
                "graphql.trusted_documents_file",
                "must name the file of trusted documents, or graphql.trusted_documents must be off",
            ));
        }
        Ok(())
    }
}
