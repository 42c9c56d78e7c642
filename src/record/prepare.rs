//! Getting a request ready for lookups: decoded, masked, its keys computed. Clients ask the same thing again and again, so
//! the work is kept.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use serde_json::Value;

use super::cache::{Recent, weight_of};
use super::entry::{Loaded, keys_of};
use super::key::{WireBody, WireRequest};
use super::redact::Scrubber;
use super::scope::lock;

/// Bytes of requests that are kept ready, roughly.
const KEPT: usize = 14 * 1024 * 1024;

/// Confirmed matches that are remembered for one request.
const MOST_CONFIRMED: usize = 8;

/// A request with its keys.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Without secrets.
    pub(crate) wire: WireRequest,
    pub(crate) key: String,
    pub(crate) levels: Vec<String>,
    /// The JSON body of `wire`, to be shared.
    pub(crate) body: Option<Arc<Value>>,
    /// Where masking changed it: the request with less masked, and last as it came. What was recorded without knowing
    /// the secret has one of their keys.
    pub(crate) others: Vec<Prepared>,
    confirmed: Mutex<Vec<(Weak<Loaded>, Vec<&'static str>)>>,
}

impl Prepared {
    /// `others` are the request with less masked.
    pub(crate) fn new(wire: WireRequest, others: Vec<WireRequest>) -> Self {
        let (key, levels) = keys_of(&wire);
        Self {
            key,
            levels,
            body: wire.body.json().cloned().map(Arc::new),
            wire,
            others: others.into_iter().map(|other| Self::new(other, Vec::new())).collect(),
            confirmed: Mutex::default(),
        }
    }

    /// What `confirm` says of a recording, remembered.
    pub(crate) fn confirmed<E>(
        &self,
        loaded: &Arc<Loaded>,
        confirm: impl FnOnce() -> Result<Vec<&'static str>, E>,
    ) -> Result<Vec<&'static str>, E> {
        // A weak reference keeps its allocation, so no other recording can have the same address.
        let is_same = |other: &Weak<Loaded>| std::ptr::eq(other.as_ptr(), Arc::as_ptr(loaded));
        if let Some((_, names)) = lock(&self.confirmed).iter().find(|(other, _)| is_same(other)) {
            return Ok(names.clone());
        }
        let names = confirm()?;
        let mut confirmed = lock(&self.confirmed);
        if confirmed.len() == MOST_CONFIRMED {
            confirmed.remove(0);
        }
        confirmed.push((Arc::downgrade(loaded), names.clone()));
        Ok(names)
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
        let json = prepared.body.as_deref().map_or(0, weight_of);
        let weight = 1024 + body.len() + 2 * (1 + prepared.others.len()) * json;
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
        assert_eq!(masked.body.as_deref(), Some(&serde_json::json!({"a": "<secret>"})));
        assert_ne!(masked.others[0].key, masked.key);
    }
}
