//! Loopback ports, and whether something answers at an address.

use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

/// One question to a server takes no longer; a server that accepts and stays silent is asked again.
const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// A loopback port that nothing listens at. It is free now, not reserved: somebody else may take it.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Whether something listens at the port, on loopback or on every interface.
pub fn port_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

/// Whether `GET base_url + path` is answered with success. Never through a proxy that the environment names.
pub async fn probe(base_url: &str, path: &str) -> bool {
    match Prober::new(base_url, path) {
        Ok(prober) => prober.ask().await,
        Err(_) => false,
    }
}

/// Asks one address again and again.
pub(super) struct Prober {
    client: reqwest::Client,
    pub(super) url: String,
}

impl Prober {
    pub(super) fn new(base_url: &str, path: &str) -> std::result::Result<Self, reqwest::Error> {
        let client = crate::http::tls::builder()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(PROBE_LIMIT)
            .build()?;
        let base = base_url.trim_end_matches('/');
        Ok(Self { client, url: format!("{base}/{}", path.trim_start_matches('/')) })
    }

    pub(super) async fn ask(&self) -> bool {
        self.client.get(&self.url).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Returns at the first success.
    pub(super) async fn until_ready(&self, every: Duration) {
        while !self.ask().await {
            tokio::time::sleep(every).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, routing::get};

    #[test]
    fn a_port_is_taken_while_somebody_listens() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("binds");
        let port = holder.local_addr().expect("has an address").port();
        assert!(port_taken(port));
        drop(holder);
        assert!(!port_taken(port));
    }

    #[test]
    fn a_port_on_every_interface_is_taken_too() {
        let holder = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("binds");
        assert!(port_taken(holder.local_addr().expect("has an address").port()));
    }

    #[tokio::test]
    async fn only_success_counts_as_an_answer() {
        let router = Router::new()
            .route("/v1/health", get(|| async { "ok" }))
            .route("/loading", get(|| async { StatusCode::SERVICE_UNAVAILABLE }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let base = format!("http://{}/", listener.local_addr().expect("has an address"));
        tokio::spawn(axum::serve(listener, router).into_future());
        assert!(probe(&base, "/v1/health").await);
        assert!(!probe(&base, "/loading").await);
        assert!(!probe(&base, "/elsewhere").await);
        assert!(!probe("http://127.0.0.1:1", "/v1/health").await);
        assert!(!probe("not a url", "/").await);
    }
}
