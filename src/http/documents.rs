//! Documents that the server knows, so that clients need not send them: trusted documents, which the operator lists in a file, and
//! automatic persisted queries, which clients tell once (Apollo's protocol, version 1).

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::manifest::{Manifest, ManifestError, read_manifest};
use super::refusal::Refusal;
use super::request::{Object, Params};
use crate::graphql::code;

/// What a remembered document takes in memory besides its text, in bytes.
const OVERHEAD: usize = 200;

/// The documents that the server knows.
pub struct Documents {
    trusted: Manifest,
    /// The texts of the trusted documents when no others are executed.
    only: Option<HashSet<Box<str>>>,
    /// What clients told, by its SHA-256; within a bound of bytes. `None` when nothing is remembered.
    remembered: Option<Cache<[u8; 32], Arc<str>>>,
}

/// What is known and allowed.
#[derive(Clone, Copy, Debug)]
pub struct DocumentSettings<'a> {
    /// The file of trusted documents, if they are used.
    pub trusted: Option<&'a Path>,
    /// Whether trusted documents alone are executed.
    pub only: bool,
    /// How many bytes of what clients tell are remembered; 0 switches it off.
    pub remembered_bytes: u64,
}

impl Documents {
    /// Reads the file of trusted documents, if there is one.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(settings: DocumentSettings<'_>) -> Result<Self, ManifestError> {
        let trusted = settings.trusted.map(read_manifest).transpose()?.unwrap_or_default();
        let only = settings.only.then(|| trusted.values().map(|document| document.as_str().into()).collect());
        // Where trusted documents alone are executed, there is nothing to tell.
        let remembered = (settings.remembered_bytes > 0 && !settings.only).then(|| {
            let weight = |_: &[u8; 32], document: &Arc<str>| u32::try_from(document.len() + OVERHEAD).unwrap_or(u32::MAX);
            Cache::builder().max_capacity(settings.remembered_bytes).weigher(weight).build()
        });
        Ok(Self { trusted, only, remembered })
    }

    /// The document that the request means.
    pub(super) fn resolve(&self, params: &mut Params) -> Result<String, Refusal> {
        let sent = params.query.take().filter(|query| !query.trim().is_empty());
        let hash = params.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery"));
        let hash = hash.map(read_hash).transpose()?;
        let known = match (&params.document_id, &hash) {
            (Some(_), _) if sent.is_some() => return Err(Refusal::bad_request("send query or documentId, not both")),
            (Some(id), _) => self.trusted.get(id),
            (None, Some(hash)) => self.trusted.get(&hash.text).or_else(|| self.trusted.get(&format!("sha256:{}", hash.text))),
            (None, None) => None,
        };
        match (known, sent, hash) {
            (Some(known), None, _) => Ok(known.clone()),
            (_, Some(sent), hash) => {
                if let Some(only) = &self.only
                    && !only.contains(sent.as_str())
                {
                    return Err(untrusted());
                }
                if let Some(hash) = hash {
                    self.remember(&hash, &sent)?;
                }
                Ok(sent)
            }
            (None, None, _) if self.only.is_some() => Err(untrusted()),
            (None, None, Some(hash)) if params.document_id.is_none() => self.recall(&hash),
            (None, None, _) if params.document_id.is_some() => Err(not_found("there is no trusted document of this id")),
            (None, None, _) => Err(Refusal::bad_request("query is missing: send a GraphQL document")),
        }
    }

    fn remember(&self, hash: &Hash, document: &str) -> Result<(), Refusal> {
        if Sha256::digest(document).as_slice() != hash.bytes {
            return Err(Refusal::bad_request("provided sha does not match query"));
        }
        if let Some(remembered) = &self.remembered
            && !remembered.contains_key(&hash.bytes)
        {
            remembered.insert(hash.bytes, document.into());
        }
        Ok(())
    }

    fn recall(&self, hash: &Hash) -> Result<String, Refusal> {
        match &self.remembered {
            // Apollo's clients look for these texts and codes. The first makes them tell the document, the second never ask again.
            Some(remembered) => {
                remembered.get(&hash.bytes).map(|document| document.to_string()).ok_or_else(|| not_found("PersistedQueryNotFound"))
            }
            None => Err(Refusal { code: code::PERSISTED_QUERY_NOT_SUPPORTED, ..not_found("PersistedQueryNotSupported") }),
        }
    }
}

/// A document's SHA-256.
struct Hash {
    /// In lower-case hexadecimal digits.
    text: String,
    bytes: [u8; 32],
}

/// Reads `extensions.persistedQuery`.
fn read_hash(extension: &serde_json::Value) -> Result<Hash, Refusal> {
    let member = |name: &str| extension.as_object().and_then(|object: &Object| object.get(name));
    if member("version").and_then(serde_json::Value::as_u64) != Some(1) {
        return Err(Refusal::bad_request("extensions.persistedQuery.version: must be 1"));
    }
    let text = member("sha256Hash").and_then(serde_json::Value::as_str).unwrap_or_default().to_ascii_lowercase();
    let mut bytes = [0; 32];
    hex::decode_to_slice(&text, &mut bytes)
        .map_err(|_| Refusal::bad_request("extensions.persistedQuery.sha256Hash: must be 64 hexadecimal digits"))?;
    Ok(Hash { text, bytes })
}

/// Answered with 200, as Apollo's server does: older clients do not look into other answers.
fn not_found(sentence: &str) -> Refusal {
    Refusal { code: code::PERSISTED_QUERY_NOT_FOUND, ..Refusal::new(StatusCode::OK, sentence) }
}

fn untrusted() -> Refusal {
    let sentence = "only trusted documents are executed here: send the id of one as documentId, or have yours added";
    Refusal { code: code::FORBIDDEN, ..Refusal::new(StatusCode::FORBIDDEN, sentence) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(document: &str) -> Params {
        let hash = hex::encode(Sha256::digest(document));
        let extensions = serde_json::json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
        Params { query: Some(document.to_owned()), extensions: extensions.as_object().cloned(), ..Params::default() }
    }

    #[test]
    fn what_clients_tell_is_remembered_within_its_bound() {
        let bound = 10_000;
        let documents = Documents::open(DocumentSettings { trusted: None, only: false, remembered_bytes: bound }).unwrap();
        let document = |number: u32| format!("{{ a{number}: __typename {} }}", " ".repeat(500));
        for number in 0..200 {
            documents.resolve(&mut told(&document(number))).unwrap();
        }
        let remembered = documents.remembered.as_ref().unwrap();
        remembered.run_pending_tasks();
        assert!(remembered.weighted_size() <= bound && remembered.entry_count() >= 5, "{}", remembered.entry_count());
        // One that is larger than the bound is executed and not kept.
        let large = " ".repeat(20_000) + "{ __typename }";
        assert_eq!(documents.resolve(&mut told(&large)).unwrap(), large);
        remembered.run_pending_tasks();
        assert!(remembered.weighted_size() <= bound);
    }
}
