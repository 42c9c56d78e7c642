//! A request as a `curl` command, to try it by hand.

use super::Request;

/// Longer bodies are cut in the shown command.
const BODY_SHOWN: usize = 4000;

/// The command; credentials are masked by name, whatever their value.
pub fn command(request: &Request, base: &str) -> String {
    limited(request, base, BODY_SHOWN)
}

/// As [`command`], with the body in full.
pub fn whole(request: &Request, base: &str) -> String {
    limited(request, base, usize::MAX)
}

fn limited(request: &Request, base: &str, body_shown: usize) -> String {
    let mut text = format!("curl -sS -X {} {}", request.method, quoted(&format!("{base}{}", request.path)));
    for (name, value) in &request.headers {
        let secret =
            matches!(name.as_str(), "authorization" | "cookie" | "x-api-key" | "x-llamastack-provider-data");
        let value =
            if secret { "***".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        text.push_str(&format!(" \\\n  -H {}", quoted(&format!("{name}: {value}"))));
    }
    if !request.body.is_empty() {
        let body = String::from_utf8_lossy(&request.body);
        let shown = match body.char_indices().nth(body_shown) {
            Some((cut, _)) => format!("{}… ({} bytes in all)", &body[..cut], request.body.len()),
            None => body.into_owned(),
        };
        text.push_str(&format!(" \\\n  --data-binary {}", quoted(&shown)));
    }
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_quoted_and_hides_credentials() {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static("Bearer sk-1"));
        headers.insert("content-type", http::HeaderValue::from_static("application/json"));
        let request = Request {
            method: http::Method::POST,
            path: "/v1/x?limit=2".into(),
            headers,
            body: bytes::Bytes::from_static(b"{\"q\":\"it's\"}"),
        };
        let want = "curl -sS -X POST 'http://h/v1/x?limit=2' \\\n  -H 'authorization: ***' \\\n  -H 'content-type: application/json' \\\n  --data-binary '{\"q\":\"it'\\''s\"}'";
        assert_eq!(command(&request, "http://h"), want);
    }
}
