//! Documents that the server knows, so that clients need not send them: trusted documents, which the operator lists in a file, and
//! automatic persisted queries, which clients tell once (Apollo's protocol, version 1).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use moka::sync::Cache;
use parking_lot::{Mutex, RwLock};
use sha2::{Digest as _, Sha256};

use crate::file_stamp::FileStamp;
use crate::graphql::{TextLimits, code};
use crate::http::answer::refusal::Refusal;
use crate::http::request::manifest::{Manifest, ManifestError, read_manifest};
use crate::http::request::{Object, Params};

/// What a remembered document takes in memory besides its text, in bytes.
const OVERHEAD: usize = 200;

/// The documents that the server knows.
pub struct Documents {
    file: Option<PathBuf>,
    /// How the file was when it was read last.
    stamp: Mutex<Option<FileStamp>>,
    /// Whether no others than trusted documents are executed.
    only: bool,
    /// What the text of a document may have.
    limits: TextLimits,
    trusted: RwLock<Arc<Trusted>>,
    /// Tells the trusted documents from former ones.
    version: AtomicU64,
    /// What clients told, by its SHA-256; within a bound of bytes. `None` when nothing is remembered.
    remembered: Option<Cache<[u8; 32], Arc<str>>>,
}

/// The trusted documents at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trusted {
    documents: Manifest,
    /// Their texts when no others are executed.
    only: Option<HashSet<Box<str>>>,
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
    /// What the text of a document may have: a file with one that has more is not used, and what clients tell is not remembered.
    pub limits: TextLimits,
}

impl Documents {
    /// Reads the file of trusted documents, if there is one.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(settings: DocumentSettings<'_>) -> Result<Self, ManifestError> {
        let stamp = settings.trusted.and_then(FileStamp::of);
        let trusted = Trusted::read(settings.trusted, settings.only, settings.limits)?;
        // Where trusted documents alone are executed, there is nothing to tell.
        let remembered = (settings.remembered_bytes > 0 && !settings.only).then(|| {
            let weight = |_: &[u8; 32], document: &Arc<str>| u32::try_from(document.len() + OVERHEAD).unwrap_or(u32::MAX);
            Cache::builder().max_capacity(settings.remembered_bytes).weigher(weight).build()
        });
        Ok(Self {
            file: settings.trusted.map(Path::to_owned),
            stamp: Mutex::new(stamp),
            only: settings.only,
            limits: settings.limits,
            trusted: RwLock::new(Arc::new(trusted)),
            version: AtomicU64::default(),
            remembered,
        })
    }

    /// Reads the file of trusted documents again, if there is one and it has changed or somebody asks for it. Gives how many documents it has when
    /// it was read.
    ///
    /// # Errors
    /// When it cannot be used. The former documents stay in force, and this version of the file is not looked at again unless asked for.
    pub fn reload(&self, asked: bool) -> Result<Option<usize>, ManifestError> {
        let Some(file) = &self.file else { return Ok(None) };
        let stamp = FileStamp::of(file);
        if std::mem::replace(&mut *self.stamp.lock(), stamp.clone()) == stamp && !asked {
            return Ok(None);
        }
        let trusted = Trusted::read(Some(file), self.only, self.limits)?;
        let count = trusted.documents.len();
        let mut current = self.trusted.write();
        if **current != trusted {
            *current = Arc::new(trusted);
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(Some(count))
    }

    /// Tells the trusted documents from former ones. What is resolved after this was read is resolved by documents of this version or a later one.
    pub(in crate::http) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The document that the request means.
    pub(in crate::http) fn resolve(&self, params: &mut Params) -> Result<String, Refusal> {
        let trusted = Arc::clone(&self.trusted.read());
        let sent = params.query.take().filter(|query| !query.trim().is_empty());
        let hash = params.extensions.as_ref().and_then(|extensions| extensions.get("persistedQuery"));
        let hash = hash.map(read_hash).transpose()?;
        let known = match (&params.document_id, &hash) {
            (Some(_), _) if sent.is_some() => return Err(Refusal::bad_request("send query or documentId, not both")),
            (Some(id), _) => trusted.documents.get(id),
            (None, Some(hash)) => {
                trusted.documents.get(&hash.text).or_else(|| trusted.documents.get(&format!("sha256:{}", hash.text)))
            }
            (None, None) => None,
        };
        match (known, sent, hash) {
            (Some(known), None, _) => Ok(known.clone()),
            (_, Some(sent), hash) => {
                if let Some(only) = &trusted.only
                    && !only.contains(sent.as_str())
                {
                    return Err(untrusted());
                }
                if let Some(hash) = hash {
                    self.remember(&hash, &sent)?;
                }
                Ok(sent)
            }
            (None, None, _) if self.only => Err(untrusted()),
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
            && self.limits.check(document).is_ok()
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

impl Trusted {
    fn read(file: Option<&Path>, only: bool, limits: TextLimits) -> Result<Self, ManifestError> {
        let documents = file.map(|file| read_manifest(file, limits)).transpose()?.unwrap_or_default();
        let only = only.then(|| documents.values().map(|document| document.as_str().into()).collect());
        Ok(Self { documents, only })
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

    const LIMITS: TextLimits = TextLimits { tokens: 100, nesting: 10 };

    fn told(document: &str) -> Params {
        let hash = hex::encode(Sha256::digest(document));
        let extensions = serde_json::json!({ "persistedQuery": { "version": 1, "sha256Hash": hash } });
        Params { query: Some(document.to_owned()), extensions: extensions.as_object().cloned(), ..Params::default() }
    }

    #[test]
    fn what_clients_tell_is_remembered_within_its_bound() {
        let bound = 10_000;
        let documents =
            Documents::open(DocumentSettings { trusted: None, only: false, remembered_bytes: bound, limits: LIMITS }).unwrap();
        let document = |number: u32| format!("{{ a{number}: __typename {} }}", " ".repeat(500));
        for number in 0..200 {
            documents.resolve(&mut told(&document(number))).unwrap();
        }
        let remembered = documents.remembered.as_ref().unwrap();
        remembered.run_pending_tasks();
        assert!(remembered.weighted_size() <= bound && remembered.entry_count() >= 5, "{}", remembered.entry_count());
        // One that is refused takes no place.
        let nested = "{ a(b: [[[[[[[[[[[]]]]]]]]]]]) }";
        assert_eq!(documents.resolve(&mut told(nested)).unwrap(), nested);
        assert!(!remembered.contains_key(Sha256::digest(nested).as_slice()));
        // One that is larger than the bound is executed and not kept.
        let large = " ".repeat(20_000) + "{ __typename }";
        assert_eq!(documents.resolve(&mut told(&large)).unwrap(), large);
        remembered.run_pending_tasks();
        assert!(remembered.weighted_size() <= bound);
    }

    #[test]
    fn a_file_is_read_again_when_it_has_changed_or_when_asked_and_its_version_tells_what_is_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("documents.json");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        let ask = |id: &str| Params { document_id: Some(id.to_owned()), ..Params::default() };
        write(r#"{ "a": "{ a }" }"#);
        let documents =
            Documents::open(DocumentSettings { trusted: Some(&file), only: true, remembered_bytes: 0, limits: LIMITS }).unwrap();
        assert_eq!((documents.reload(false).unwrap(), documents.reload(true).unwrap(), documents.version()), (None, Some(1), 0));

        write(r#"{ "a": "{ aa }", "b": "{ b }" }"#);
        assert_eq!((documents.reload(false).unwrap(), documents.reload(false).unwrap(), documents.version()), (Some(2), None, 1));
        assert_eq!(documents.resolve(&mut ask("a")).unwrap(), "{ aa }");
        assert!(documents.resolve(&mut Params { query: Some("{ a }".to_owned()), ..Params::default() }).is_err());

        write(r#"{ "a": "{" }"#);
        assert!(documents.reload(false).is_err());
        assert_eq!((documents.reload(false).unwrap(), documents.version()), (None, 1));
        assert!(documents.reload(true).is_err());
        assert_eq!(documents.resolve(&mut ask("b")).unwrap(), "{ b }");

        let none = Documents::open(DocumentSettings { trusted: None, only: false, remembered_bytes: 0, limits: LIMITS }).unwrap();
        assert_eq!(none.reload(true).unwrap(), None);
    }
}
