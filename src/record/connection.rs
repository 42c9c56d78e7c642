//! Connections that can be broken on purpose: no answer, only a reset, as from a provider that is down.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::http::{HeaderValue, Response, header};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// What becomes of a client's connection when its request is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AfterAnswer {
    /// It is there for the next request.
    #[default]
    KeepOpen,
    /// The answer announces that it ends. For stacks that drop OpenAI's client for Python with a connection open: garbage
    /// collection closes the socket, and a task that the client's `__del__` leaves takes asyncio's watch off the
    /// descriptor's number later. A connection that was given the number meanwhile never becomes ready, and fails after
    /// its timeout (openai/openai-python#2440 is about that `__del__`).
    Close,
}

impl From<Option<bool>> for AfterAnswer {
    /// As a stack's definition says with `keep_alive`.
    fn from(keep_alive: Option<bool>) -> Self {
        if keep_alive == Some(false) { Self::Close } else { Self::KeepOpen }
    }
}

/// Announces the end of the connection in an answer.
pub(crate) async fn announce_end<B>(mut answer: Response<B>) -> Response<B> {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// Accepts connections for a proxy.
#[derive(Debug)]
pub(crate) struct Connections(pub(crate) TcpListener);

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    breaker: Breaker,
}

/// Breaks the connection that a request came on; the request's handler has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Breaker(Arc<AtomicBool>);

impl Breaker {
    /// From now on nothing is written any more: the next attempt resets the connection.
    pub(crate) fn trip(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Small chunks must leave at once; a failure here only costs latency.
        let _ = stream.set_nodelay(true);
        (Connection { stream, breaker: Breaker::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Connected<IncomingStream<'_, Connections>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, Connections>) -> Self {
        stream.io().breaker.clone()
    }
}

impl Connection {
    fn check(&self) -> io::Result<()> {
        if !self.breaker.0.load(Ordering::SeqCst) {
            return Ok(());
        }
        // Closing then sends a reset rather than an orderly end; where this fails it is an end, which is no answer either.
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
