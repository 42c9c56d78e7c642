//! What all HTTP clients of this program have in common: ring for TLS, the system's certificates, no proxy from the
//! environment.

use std::sync::LazyLock;

use reqwest::ClientBuilder;

/// Makes ring the process's TLS provider; reqwest is built without one, so that no C++ tool chain is needed.
pub fn install() {
    // An error means that it is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client to be configured further. Where the system has no certificates, as in an image with nothing but this binary,
/// it trusts none: replay needs no TLS, and a provider behind `https://` is then refused as unknown.
pub fn builder() -> ClientBuilder {
    static HAS_CERTIFICATES: LazyLock<bool> = LazyLock::new(|| {
        install();
        reqwest::Client::builder().no_proxy().build().is_ok()
    });
    let builder = reqwest::Client::builder().no_proxy();
    if *HAS_CERTIFICATES { builder } else { builder.tls_certs_only([]) }
}
