//! Getting a request ready for lookups: decoded, masked, its keys computed. Clients ask the same thing again and again, so
//! the work is kept.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use serde_json::Value;

use super::cache::{Recent, weight_of};
use super::entry::keys_of;
use super::key::{WireBody, WireRequest};
use super::redact::Scrubber;
use super::scope::lock;
use super::store::Kept;

/// Bytes of requests that are kept ready, roughly.
const KEPT: usize = 14 * 1024 * 1024;

/// Confirmed matches that are remembered for one request.
const MOST_CONFIRMED: usize = 8;

/// A request with its keys. Kept by the thousand, so its body is held once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) key: String,
    pub(crate) levels: Vec<String>,
    pub(crate) provider: String,
    pub(crate) method: String,
    /// Path with query, without secrets, as the body.
    pub(crate) path: String,
    body: Body,
    /// Where masking changed it: the request with less masked, and last as it came. What was recorded without knowing
    /// the secret has one of their keys.
    pub(crate) others: Vec<Prepared>,
    confirmed: Mutex<Vec<(Weak<Kept>, Vec<&'static str>)>>,
    settled: Mutex<Option<Weak<Kept>>>,
}

#[derive(Debug)]
enum Body {
    Empty,
    Json(Arc<Value>),
    Raw(Bytes),
}

impl Prepared {
    /// `others` are the request with less masked.
    pub(crate) fn new(wire: WireRequest, others: Vec<WireRequest>) -> Self {
        let (key, levels) = keys_of(&wire);
        let WireRequest { provider, method, path, body } = wire;
        Self {
            key,
            levels,
            provider,
            method,
            path,
            body: match body {
                WireBody::Empty => Body::Empty,
                WireBody::Json(value) => Body::Json(Arc::new(value)),
                WireBody::Raw(bytes) => Body::Raw(bytes),
            },
            others: others.into_iter().map(|other| Self::new(other, Vec::new())).collect(),
            confirmed: Mutex::default(),
            settled: Mutex::default(),
        }
    }

    /// The JSON body, to be shared.
    pub(crate) fn json(&self) -> Option<Arc<Value>> {
        match &self.body {
            Body::Json(value) => Some(Arc::clone(value)),
            Body::Empty | Body::Raw(_) => None,
        }
    }

    /// The request as a value of its own.
    pub(crate) fn wire(&self) -> WireRequest {
        WireRequest {
            provider: self.provider.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            body: match &self.body {
                Body::Empty => WireBody::Empty,
                Body::Json(value) => WireBody::Json(Value::clone(value)),
                Body::Raw(bytes) => WireBody::Raw(bytes.clone()),
            },
        }
    }

    /// The normalisers with which this request is known to match a recording.
    pub(crate) fn confirmed(&self, kept: &Arc<Kept>) -> Option<Vec<&'static str>> {
        // A weak reference keeps its allocation, so no other recording can have the same address.
        let is_same = |other: &Weak<Kept>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(kept));
        let confirmed = lock(&self.confirmed);
        confirmed.iter().find(|(other, _)| is_same(other)).map(|(_, names)| names.clone())
    }

    pub(crate) fn confirm(&self, kept: &Arc<Kept>, names: Vec<&'static str>) {
        let mut confirmed = lock(&self.confirmed);
        if confirmed.len() == MOST_CONFIRMED {
            confirmed.remove(0);
        }
        confirmed.push((Arc::downgrade(kept), names));
    }

    /// The recording that answers this request exactly, whoever asks; known once [`Prepared::settle`] was told.
    pub(crate) fn settled(&self) -> Option<Arc<Kept>> {
        lock(&self.settled).as_ref()?.upgrade()
    }

    pub(crate) fn settle(&self, kept: &Arc<Kept>) {
        *lock(&self.settled) = Some(Arc::downgrade(kept));
    }
}

/// A request's parts as they came.
#[derive(Debug)]
struct Raw {
    provider: String,
    method: String,
    path: String,
    content_type: Option<String>,
    body: Bytes,
}

/// A request as it came, and prepared.
type Known = (Arc<Raw>, Arc<Prepared>);

/// Requests that were prepared lately.
#[derive(Debug)]
pub(crate) struct Requests {
    hasher: RandomState,
    /// By hash.
    recent: Mutex<Recent<u64, Known>>,
}

impl Default for Requests {
    fn default() -> Self {
        Self { hasher: RandomState::new(), recent: Mutex::new(Recent::new(KEPT)) }
    }
}

impl Requests {
    /// The prepared request; computed when it has not been seen lately.
    pub(crate) fn prepare(
        &self,
        scrubber: &Scrubber,
        [provider, method, path]: [&str; 3],
        content_type: Option<&str>,
        body: &Bytes,
    ) -> Arc<Prepared> {
        let hash = self.hasher.hash_one((provider, method, path, content_type, &body[..]));
        if let Some((raw, prepared)) = lock(&self.recent).get(&hash) {
            let is_same = raw.body == *body
                && raw.path == path
                && raw.method == method
                && raw.provider == provider
                && raw.content_type.as_deref() == content_type;
            if is_same {
                return prepared;
            }
        }
        // A copy: what came over the wire is a slice of a much larger buffer, which it would keep alive.
        let body = &Bytes::copy_from_slice(body);
        let (provider, method, path) = (provider.to_owned(), method.to_owned(), path.to_owned());
        let raw = WireRequest {
            provider: provider.clone(),
            method: method.clone(),
            path: path.clone(),
            body: WireBody::decode(content_type, body.clone()),
        };
        let mut wire = raw.clone();
        scrubber.request(&mut wire);
        let mut others = Vec::new();
        if wire != raw {
            let mut ruled = raw.clone();
            scrubber.rules().request(&mut ruled);
            others = vec![ruled, raw];
            others.dedup();
            others.retain(|other| *other != wire);
        }
        let prepared = Arc::new(Prepared::new(wire, others));
        let raw =
            Raw { provider, method, path, content_type: content_type.map(str::to_owned), body: body.clone() };
        let json = prepared.json().as_deref().map_or(0, weight_of);
        let weight = 1024 + body.len() + (1 + prepared.others.len()) * (json + 1024);
        lock(&self.recent).insert(hash, (Arc::new(raw), Arc::clone(&prepared)), weight);
        prepared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_prepared_once_and_masked() {
        let requests = Requests::default();
        let scrubber = Scrubber::new(vec!["s3cr3t-value".into()]);
        let prepare = |body: &'static str| {
            requests.prepare(&scrubber, ["p", "POST", "/v1/x"], None, &Bytes::from_static(body.as_bytes()))
        };
        let plain = prepare(r#"{"a":1}"#);
        assert!(Arc::ptr_eq(&plain, &prepare(r#"{"a":1}"#)) && plain.others.is_empty());
        let masked = prepare(r#"{"a":"s3cr3t-value"}"#);
        assert_eq!(masked.json().as_deref(), Some(&serde_json::json!({"a": "<secret>"})));
        assert_ne!(masked.others[0].key, masked.key);
    }
}
