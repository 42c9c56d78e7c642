//! `ceiling FILE`: the fastest a server on this stack of libraries can be: a bare axum handler that answers every request
//! with the bytes of FILE. `scripts/throughput.sh` holds the replaying proxy against it.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::serve::ListenerExt;
use bytes::Bytes;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).ok_or("usage: ceiling FILE")?;
    let body = Bytes::from(std::fs::read(file)?);
    let handler = move |_request: Bytes| {
        let body = body.clone();
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().fallback(handler)).await?;
    Ok(())
}
