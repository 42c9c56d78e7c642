//! The input file of a batch: its requests, or everything that is wrong with it.

use super::events::truthy;
use serde_json::{Map, Value, json};

/// The endpoints that a batch may be for.
pub(crate) const ENDPOINTS: [&str; 3] = [CHAT, COMPLETIONS, EMBEDDINGS];
pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const COMPLETIONS: &str = "/v1/completions";
pub(crate) const EMBEDDINGS: &str = "/v1/embeddings";

/// One request of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchRequest {
    /// From 1, in the file without the white space around it.
    pub(crate) line: usize,
    pub(crate) custom_id: String,
    pub(crate) url: String,
    pub(crate) body: Map<String, Value>,
}

/// A mistake, as `errors.data` of a batch lists it.
pub(crate) fn error(
    code: &str,
    line: Option<usize>,
    message: impl Into<String>,
    param: Option<&str>,
) -> Value {
    json!({"code": code, "line": line, "message": message.into(), "param": param})
}

/// Reads an input file.
///
/// # Errors
/// Every mistake in it, in Llama Stack's words; then no request is sent.
pub(crate) fn read(
    text: &str,
    endpoint: &str,
    model_exists: impl Fn(&str) -> bool,
) -> Result<Vec<BatchRequest>, Vec<Value>> {
    let mut requests = Vec::new();
    let mut errors = Vec::new();
    for (at, line) in text.trim().split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut checked = Line { number: at + 1, endpoint, errors: Vec::new() };
        match serde_json::from_str(line) {
            Ok(Value::Object(request)) => requests.extend(checked.request(request, &model_exists)),
            Ok(_) => checked.fail("invalid_request", "Each line must be a JSON dictionary object", None),
            Err(_) => checked.fail("invalid_json_line", "This line is not parseable as valid JSON.", None),
        }
        errors.append(&mut checked.errors);
    }
    if errors.is_empty() { Ok(requests) } else { Err(errors) }
}

struct Line<'a> {
    number: usize,
    endpoint: &'a str,
    errors: Vec<Value>,
}

impl Line<'_> {
    fn fail(&mut self, code: &str, message: impl Into<String>, param: Option<&str>) {
        self.errors.push(error(code, Some(self.number), message, param));
    }

    fn request(
        &mut self,
        mut request: Map<String, Value>,
        model_exists: impl Fn(&str) -> bool,
    ) -> Option<BatchRequest> {
        for (param, title) in
            [("custom_id", "Custom_id"), ("method", "Method"), ("url", "URL"), ("body", "Body")]
        {
            let (fits, kind) = match (param, request.get(param)) {
                ("body", given) => (given.map(Value::is_object), "JSON dictionary object"),
                (_, given) => (given.map(Value::is_string), "string"),
            };
            match fits {
                Some(true) => {}
                Some(false) => {
                    self.fail("invalid_request", format!("{title} must be a {kind}"), Some(param));
                }
                None => self.fail(
                    "missing_required_parameter",
                    format!("Missing required parameter: {param}"),
                    Some(param),
                ),
            }
        }
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (url, custom_id) = (text("url"), text("custom_id"));
        if !url.is_empty() && url != self.endpoint {
            let message = "URL provided for this request does not match the batch endpoint";
            self.fail("invalid_url", message, Some("url"));
        }
        let body = match request.remove("body") {
            Some(Value::Object(body)) => body,
            _ => Map::new(),
        };
        if !body.is_empty() {
            self.body(&body, model_exists);
        }
        self.errors.is_empty().then_some(BatchRequest { line: self.number, custom_id, url, body })
    }

    fn body(&mut self, body: &Map<String, Value>, model_exists: impl Fn(&str) -> bool) {
        if body.get("stream").is_some_and(truthy) {
            let message = "Streaming is not supported in batch processing";
            self.fail("streaming_unsupported", message, Some("body.stream"));
        }
        let (param, title, kind, fits): (_, _, _, fn(&Value) -> bool) = match self.endpoint {
            CHAT => ("messages", "Messages", "an array", Value::is_array),
            COMPLETIONS => ("prompt", "Prompt", "a string", Value::is_string),
            _ => ("input", "Input", "a string or array of strings", |input| {
                input.is_string() || input.is_array()
            }),
        };
        let model = ("model", "Model", "a string", Value::is_string as fn(&Value) -> bool);
        for (param, title, kind, fits) in [model, (param, title, kind, fits)] {
            let place = format!("body.{param}");
            match body.get(param) {
                Some(value) if fits(value) => {}
                Some(_) => self.fail("invalid_request", format!("{title} must be {kind}"), Some(&place)),
                None => {
                    self.fail("invalid_request", format!("{title} parameter is required"), Some(&place));
                }
            }
        }
        if let Some(model) = body.get("model").and_then(Value::as_str)
            && !model_exists(model)
        {
            let message = format!("Model '{model}' does not exist or is not supported");
            self.fail("model_not_found", message, Some("body.model"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One line for each mistake, or for each request.
    fn outline(lines: &[&str], endpoint: &str) -> String {
        let lines = match read(&lines.join("\n"), endpoint, |model| model == "m") {
            Ok(requests) => requests
                .iter()
                .map(|request| format!("{} {} {:?}", request.line, request.custom_id, request.url))
                .collect(),
            Err(errors) => errors
                .iter()
                .map(|error| {
                    let text = |name: &str| error[name].as_str().unwrap_or("-").to_owned();
                    format!("{} {} {}: {}", error["line"], text("code"), text("param"), text("message"))
                })
                .collect::<Vec<_>>(),
        };
        lines.join("\n")
    }

    /// The same file was given to Llama Stack 0.3.0.
    #[test]
    fn every_mistake_is_told_as_upstream_tells_it() {
        let lines = [
            "nojson",
            "[1]",
            "",
            r#"{"custom_id":1,"method":2,"url":3,"body":4}"#,
            "{}",
            r#"{"custom_id":"a","method":"POST","url":"/x","body":{}}"#,
            r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":1,"messages":"x","stream":1}}"#,
            r#"{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"nope","messages":[]}}"#,
            r#"{"custom_id":"a","method":"POST","url":"","body":{"model":"m","messages":[]}}"#,
        ];
        assert_eq!(
            outline(&lines, CHAT),
            "1 invalid_json_line -: This line is not parseable as valid JSON.
2 invalid_request -: Each line must be a JSON dictionary object
4 invalid_request custom_id: Custom_id must be a string
4 invalid_request method: Method must be a string
4 invalid_request url: URL must be a string
4 invalid_request body: Body must be a JSON dictionary object
5 missing_required_parameter custom_id: Missing required parameter: custom_id
5 missing_required_parameter method: Missing required parameter: method
5 missing_required_parameter url: Missing required parameter: url
5 missing_required_parameter body: Missing required parameter: body
6 invalid_url url: URL provided for this request does not match the batch endpoint
7 streaming_unsupported body.stream: Streaming is not supported in batch processing
7 invalid_request body.model: Model must be a string
7 invalid_request body.messages: Messages must be an array
8 model_not_found body.model: Model 'nope' does not exist or is not supported"
        );
    }

    #[test]
    fn other_endpoints_need_other_parameters() {
        let line = |url: &str, rest: &str| {
            format!(r#"{{"custom_id":"a","method":"POST","url":"{url}","body":{{"model":"m"{rest}}}}}"#)
        };
        let one = |url: &str, rest: &str| outline(&[&line(url, rest)], url);
        assert_eq!(one(COMPLETIONS, ""), "1 invalid_request body.prompt: Prompt parameter is required");
        assert_eq!(
            one(COMPLETIONS, r#","prompt":["a"]"#),
            "1 invalid_request body.prompt: Prompt must be a string"
        );
        assert_eq!(
            one(EMBEDDINGS, r#","input":1"#),
            "1 invalid_request body.input: Input must be a string or array of strings"
        );
        assert_eq!(one(EMBEDDINGS, r#","input":["a"]"#), r#"1 a "/v1/embeddings""#);
    }

    #[test]
    fn an_empty_file_has_no_requests() {
        assert_eq!(outline(&["", "  "], CHAT), "");
    }
}
