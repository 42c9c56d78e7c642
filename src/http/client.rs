//! Sends a request to the stack under test, over the network or straight into a router in this process.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use tower::ServiceExt;

use super::{BodyEnd, Chunk, Request, Response, tls};

/// More than this of one body is not read; a runaway stream must not take the machine's memory.
pub const BODY_LIMIT: usize = 64 << 20;

/// How requests reach the stack.
#[derive(Debug, Clone)]
pub enum Transport {
    Network { client: reqwest::Client, base: String },
    InProcess(Router),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportError {
    /// The connection could not be made, or broke before the answer's head.
    Connection(String),
    /// No end of the body within the time given.
    Timeout(Duration),
    /// The body is larger than [`BODY_LIMIT`].
    TooLarge,
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(reason) => write!(f, "no answer: {reason}"),
            Self::Timeout(after) => write!(f, "no complete answer within {:.1}s", after.as_secs_f64()),
            Self::TooLarge => write!(f, "the answer's body is larger than {} MiB", BODY_LIMIT >> 20),
        }
    }
}

impl Transport {
    /// A client for a server at `base`, without redirects, proxies or decompression: what comes is what is judged.
    pub fn network(base: &str) -> Result<Self, TransportError> {
        let client = tls::builder()
            .redirect(reqwest::redirect::Policy::none())
            // A connection that was idle may be closed by the server at the very moment it is used again; that
            // would break a trial although nothing is wrong. On loopback a new one costs next to nothing.
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| TransportError::Connection(reasons(&error)))?;
        Ok(Self::Network { client, base: base.trim_end_matches('/').to_owned() })
    }

    /// What stands before a path in a `curl` command.
    pub fn base(&self) -> &str {
        match self {
            Self::Network { base, .. } => base,
            Self::InProcess(_) => "http://in-process",
        }
    }

    /// Sends and reads the whole answer, noting when each chunk came.
    pub async fn send(&self, request: &Request, timeout: Duration) -> Result<Response, TransportError> {
        self.send_until(request, timeout, None).await
    }

    /// As [`Transport::send`]; with `abort_after`, hangs up after so many events.
    pub async fn send_until(
        &self,
        request: &Request,
        timeout: Duration,
        abort_after: Option<usize>,
    ) -> Result<Response, TransportError> {
        let reading = async {
            match self {
                Self::Network { client, base } => over_network(client, base, request, abort_after).await,
                Self::InProcess(router) => in_process(router.clone(), request, abort_after).await,
            }
        };
        tokio::time::timeout(timeout, reading).await.unwrap_or(Err(TransportError::Timeout(timeout)))
    }
}

async fn over_network(
    client: &reqwest::Client,
    base: &str,
    request: &Request,
    abort_after: Option<usize>,
) -> Result<Response, TransportError> {
    let started = Instant::now();
    let answer = client
        .request(request.method.clone(), format!("{base}{}", request.path))
        .headers(request.headers.clone())
        .body(request.body.clone())
        .send()
        .await
        .map_err(|error| TransportError::Connection(reasons(&error)))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let stream = answer.bytes_stream().map(|chunk| chunk.map_err(|error| reasons(&error)));
    let (body, chunks, end) = read(Box::pin(stream), started, abort_after).await?;
    Ok(Response { status, headers, body, chunks, end, took: started.elapsed() })
}

async fn in_process(
    router: Router,
    request: &Request,
    abort_after: Option<usize>,
) -> Result<Response, TransportError> {
    let started = Instant::now();
    let mut inner = http::Request::builder().method(request.method.clone()).uri(&request.path);
    if let Some(headers) = inner.headers_mut() {
        headers.extend(request.headers.clone());
    }
    let inner = inner
        .body(Body::from(request.body.clone()))
        .map_err(|error| TransportError::Connection(error.to_string()))?;
    let answer = match router.oneshot(inner).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    let (head, body) = answer.into_parts();
    let stream = body.into_data_stream().map(|chunk| chunk.map_err(|error| error.to_string()));
    let (body, chunks, end) = read(Box::pin(stream), started, abort_after).await?;
    Ok(Response { status: head.status, headers: head.headers, body, chunks, end, took: started.elapsed() })
}

type ChunkStream<'a> = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<Bytes, String>> + Send + 'a>>;

async fn read(
    mut stream: ChunkStream<'_>,
    started: Instant,
    abort_after: Option<usize>,
) -> Result<(Bytes, Vec<Chunk>, BodyEnd), TransportError> {
    let mut body = BytesMut::new();
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(bytes) if body.len() + bytes.len() > BODY_LIMIT => return Err(TransportError::TooLarge),
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                body.extend_from_slice(&bytes);
                chunks.push(Chunk { end: body.len(), at: started.elapsed() });
                if let Some(end) = abort_after.and_then(|count| end_of_event(&body, count)) {
                    body.truncate(end);
                    // Dropping the stream closes the connection.
                    return Ok((body.freeze(), chunks, BodyEnd::Aborted));
                }
            }
            Err(reason) => return Ok((body.freeze(), chunks, BodyEnd::Cut(reason))),
        }
    }
    Ok((body.freeze(), chunks, BodyEnd::Complete))
}

/// Where the event of this number ends: at its empty line, or in NDJSON at the end of its line.
fn end_of_event(body: &[u8], number: usize) -> Option<usize> {
    let is_json_lines = body.trim_ascii_start().starts_with(b"{");
    let ends = |at: usize| {
        let before = body[..at].strip_suffix(b"\r").unwrap_or(&body[..at]);
        is_json_lines || before.ends_with(b"\n")
    };
    let mut newlines = body.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at);
    newlines.by_ref().filter(|at| ends(*at)).nth(number.checked_sub(1)?).map(|at| at + 1)
}

/// The last two of an error's causes: those before only say that sending failed, and the address once more.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        texts.push(inner.to_string());
        cause = inner.source();
    }
    texts.split_off(texts.len().saturating_sub(2)).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::post;

    #[tokio::test]
    async fn in_process_and_network_give_the_same_answer() {
        let router = Router::new().route("/echo", post(|body: String| async move { format!("got {body}") }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let base = format!("http://{}", listener.local_addr().expect("has an address"));
        tokio::spawn(axum::serve(listener, router.clone()).into_future());
        let request = Request {
            method: http::Method::POST,
            path: "/echo".to_owned(),
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(b"x"),
        };
        for transport in [Transport::InProcess(router), Transport::network(&base).expect("builds")] {
            let answer = transport.send(&request, Duration::from_secs(10)).await.expect("answers");
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..], answer.end),
                (200, &b"got x"[..], BodyEnd::Complete)
            );
        }
    }

    #[test]
    fn events_end_at_empty_lines_or_are_lines() {
        let check =
            |body: &str, number, want| assert_eq!(end_of_event(body.as_bytes(), number), want, "{body:?}");
        check("data: a\n\ndata: b\n\n", 1, Some(9));
        check("data: a\n\ndata: b\n\n", 2, Some(18));
        check("data: a\n\ndata: b\n", 2, None);
        check("data: a\r\n\r\ndata", 1, Some(11));
        check("{\"a\": 1}\n{\"b\"", 1, Some(9));
        check("{\"a\": 1}\n{\"b\"", 2, None);
    }

    #[tokio::test]
    async fn a_refused_connection_gives_its_cause() {
        let transport = Transport::network("http://127.0.0.1:1").expect("builds");
        let request = Request {
            method: http::Method::GET,
            path: "/".to_owned(),
            headers: http::HeaderMap::new(),
            body: Bytes::new(),
        };
        let error = transport.send(&request, Duration::from_secs(10)).await.expect_err("refused");
        assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    }
}
