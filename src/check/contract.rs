//! What a target answers at its endpoints, whichever case asks: held against every answer that a step gets.

use std::collections::HashMap;

use http::Method;
use matchit::Router;
use serde_json::Value;

use super::json_schema::SchemaRef;
use super::mismatch::{Mismatch, shorten, show};
use super::path::pointer_below;
use super::seen::Seen;
use crate::http::Response;
use crate::http::sse::Framing;

/// Mismatches of one answer that are shown: a stream can have the same one in each event.
const SHOWN: usize = 5;

/// Endpoints with the shapes of their answers.
#[derive(Debug, Default)]
pub struct Contract {
    endpoints: Vec<Endpoint>,
    routes: HashMap<Method, Router<usize>>,
}

/// One endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Method and path as written, such as `GET /v1/files/{id}`.
    pub name: String,
    /// Where that is written: `file:line`.
    pub place: String,
    /// The JSON of a success.
    pub answer: Option<SchemaRef>,
    /// Each event of a stream.
    pub events: Option<SchemaRef>,
    /// The JSON of an answer with a status of 400 or above.
    pub error: Option<SchemaRef>,
}

impl Contract {
    /// Adds an endpoint. In a path `{name}` stands for one segment and a final `{*name}` for all that is left; of several
    /// that fit, the most literal counts.
    ///
    /// # Errors
    /// Why it is none, or which other it collides with.
    pub fn add(&mut self, endpoint: Endpoint) -> Result<(), String> {
        let form = "write a method and a path, such as `GET /v1/files/{id}`";
        let (method, path) = endpoint.name.split_once(' ').ok_or(form)?;
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
        let method = known.into_iter().find(|known| known.as_str() == method).ok_or(form)?;
        if !path.starts_with('/') {
            return Err(form.to_owned());
        }
        let routes = self.routes.entry(method).or_default();
        routes.insert(path, self.endpoints.len()).map_err(|error| match error {
            matchit::InsertError::Conflict { with } => format!("it stands for the same requests as `{with}`"),
            other => other.to_string(),
        })?;
        self.endpoints.push(endpoint);
        Ok(())
    }

    /// The endpoint of a request; its path may have a query.
    pub fn endpoint(&self, method: &Method, path: &str) -> Option<&Endpoint> {
        let path = path.split('?').next().unwrap_or_default();
        let index = *self.routes.get(method)?.at(path).ok()?.value;
        self.endpoints.get(index)
    }
}

impl Endpoint {
    /// Where an answer does not have the shape that it should have.
    pub fn mismatches(&self, seen: &Seen<'_>) -> Vec<Mismatch> {
        let Ok(response) = seen.response() else { return Vec::new() };
        let mut found = match response.status.as_u16() {
            200..=299 if Framing::of(response).is_some() => self.stream(response, seen),
            200..=299 => match (&self.answer, &self.events) {
                (Some(schema), _) => self.document(schema, response, seen),
                (None, Some(_)) => vec![self.wrong_media("text/event-stream", response)],
                (None, None) => Vec::new(),
            },
            400.. => self.error.iter().flat_map(|schema| self.document(schema, response, seen)).collect(),
            _ => Vec::new(),
        };
        let more = found.len().saturating_sub(SHOWN);
        found.truncate(SHOWN);
        if more > 0
            && let Some(last) = found.last_mut()
        {
            let detail = last.detail.take().unwrap_or_default();
            last.detail = Some(format!("{detail}\nand {more} more of this answer"));
        }
        found
    }

    fn stream(&self, response: &Response, seen: &Seen<'_>) -> Vec<Mismatch> {
        let Some(schema) = &self.events else {
            return self.answer.iter().map(|_| self.wrong_media("application/json", response)).collect();
        };
        // A stream that was cut is another check's matter; its events up to there are not.
        let Ok(decoded) = seen.decoded() else { return Vec::new() };
        let events = decoded.events.iter().filter(|event| !event.is_done()).enumerate();
        let mut found = Vec::new();
        for (index, event) in events {
            let place = format!("events[{index}]");
            match serde_json::from_str(&event.data) {
                Ok(value) => found.extend(self.violations(schema, &value, &place)),
                Err(error) => {
                    let mismatch = Mismatch::new(place, "JSON", shorten(&event.data));
                    found.push(mismatch.with(error.to_string()));
                }
            }
        }
        found
    }

    fn document(&self, schema: &SchemaRef, response: &Response, seen: &Seen<'_>) -> Vec<Mismatch> {
        if response.media_type() != "application/json" {
            return vec![self.wrong_media("application/json", response)];
        }
        match seen.json() {
            Ok(value) => self.violations(schema, value, "$"),
            Err(mismatch) => vec![mismatch],
        }
    }

    fn violations(&self, schema: &SchemaRef, value: &Value, place: &str) -> Vec<Mismatch> {
        let violation = |(pointer, message): (String, String)| {
            let actual = value.pointer(&pointer).map_or_else(|| "nothing".to_owned(), show);
            Mismatch::new(pointer_below(place, &pointer), self.expected(), actual).with(message)
        };
        schema.violations(value).into_iter().map(violation).collect()
    }

    fn wrong_media(&self, wanted: &str, response: &Response) -> Mismatch {
        Mismatch::new("content-type", wanted, response.media_type()).with(self.expected())
    }

    fn expected(&self) -> String {
        format!("what {} says of {}", self.place, self.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::response;
    use super::*;

    fn contract(endpoints: &[&str]) -> Result<Contract, String> {
        let mut contract = Contract::default();
        let id = SchemaRef::compile(json!({"required": ["id"], "properties": {"id": {"type": "string"}}}));
        for name in endpoints {
            let is_stream = name.contains("stream");
            contract.add(Endpoint {
                name: (*name).to_owned(),
                place: "c.yaml:1".to_owned(),
                answer: (!is_stream).then(|| id.clone().unwrap()),
                events: is_stream.then(|| id.clone().unwrap()),
                error: Some(SchemaRef::compile(json!({"required": ["detail"]})).unwrap()),
            })?;
        }
        Ok(contract)
    }

    #[test]
    fn the_most_literal_path_of_the_method_counts() {
        let names = [
            "GET /v1/files",
            "GET /v1/files/{id}",
            "GET /v1/files/{file}/content",
            "POST /v1/files/{id}",
            "GET /v1/files/special",
            "GET /v1/models/{*model}",
        ];
        let contract = contract(&names).unwrap();
        let check = |method, path, want: Option<&str>| {
            let found = contract.endpoint(&method, path).map(|endpoint| endpoint.name.as_str());
            assert_eq!(found, want, "{path}");
        };
        check(Method::GET, "/v1/files?limit=2", Some("GET /v1/files"));
        check(Method::GET, "/v1/files/f-1", Some("GET /v1/files/{id}"));
        check(Method::GET, "/v1/files/special", Some("GET /v1/files/special"));
        check(Method::GET, "/v1/files/f-1/content", Some("GET /v1/files/{file}/content"));
        check(Method::GET, "/v1/models/ollama/llama3.2:3b", Some("GET /v1/models/{*model}"));
        check(Method::POST, "/v1/files/f-1", Some("POST /v1/files/{id}"));
        check(Method::DELETE, "/v1/files/f-1", None);
        check(Method::GET, "/v1/other", None);
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        let refused = |names: &[&str]| contract(names).unwrap_err();
        for wrong in ["/v1/files", "FETCH /v1/files", "GET v1/files"] {
            assert!(refused(&[wrong]).starts_with("write a method and a path"), "{wrong}");
        }
        assert_eq!(
            refused(&["GET /v1/files/{id}", "GET /v1/files/{file}"]),
            "it stands for the same requests as `/v1/files/{id}`"
        );
    }

    #[test]
    fn success_error_and_stream_have_shapes_of_their_own() {
        let contract = contract(&["GET /answer", "GET /stream"]).unwrap();
        let check = |path: &str, status, media, body: &str, want: &[&str]| {
            let response = response(status, media, body.to_owned());
            let found =
                contract.endpoint(&Method::GET, path).unwrap().mismatches(&Seen::new(Some(&response), &[]));
            let found: Vec<String> = found.iter().map(|m| format!("{} {}", m.what, m.actual)).collect();
            assert_eq!(found, want, "{path} {status} {body}");
        };
        let json = "application/json";
        let sse = "text/event-stream";
        check("/answer", 200, json, r#"{"id": "a"}"#, &[]);
        check("/answer", 200, json, r#"{"id": 1}"#, &["$.id 1"]);
        check("/answer", 200, json, "{", &["body status 200, application/json: {"]);
        check("/answer", 200, "text/plain", r#"{"id": "a"}"#, &["content-type text/plain"]);
        check("/answer", 200, sse, "data: {\"id\": \"a\"}\n\n", &["content-type text/event-stream"]);
        check("/answer", 404, json, r#"{"detail": "gone"}"#, &[]);
        check("/answer", 404, json, "{}", &["$ {}"]);
        check("/answer", 302, "text/html", "", &[]);
        check("/stream", 200, sse, "data: {\"id\": \"a\"}\n\ndata: [DONE]\n\n", &[]);
        check("/stream", 200, sse, "data: {\"id\": \"a\"}\n\ndata: {}\n\n", &["events[1] {}"]);
        check("/stream", 200, json, "{}", &["content-type application/json"]);
        let many = "data: {}\n\n".repeat(9);
        let five: Vec<String> = (0..5).map(|n| format!("events[{n}] {{}}")).collect();
        check("/stream", 200, sse, &many, &five.iter().map(String::as_str).collect::<Vec<_>>());
    }
}
