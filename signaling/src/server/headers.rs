//! Headers by which browsers use our answers only for what they are meant for.

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    },
    response::Response,
};

use super::ServerConfig;

/// What a page from this server may do, unless the operator says otherwise: run its own scripts and WebAssembly, but no script that is
/// written into it; start workers that it makes itself, as `netcode` does for hidden pages; and open a WebSocket to any server. Pages
/// from elsewhere cannot show it in a frame. WebRTC needs no permission.
pub(super) const PAGE_POLICY: &str = "default-src 'self'; \
    script-src 'self' 'wasm-unsafe-eval'; \
    worker-src 'self' blob:; \
    connect-src 'self' ws: wss:; \
    img-src 'self' data: blob:; \
    object-src 'none'; \
    base-uri 'none'; \
    form-action 'none'; \
    frame-ancestors 'self'";

/// Protects an answer, and the browser that shows it.
#[derive(Debug, Clone)]
pub(super) struct Protection {
    /// None where the operator wants none.
    page_policy: Option<HeaderValue>,
}

impl Protection {
    pub(super) fn new(config: &ServerConfig) -> Self {
        let policy = HeaderValue::from_str(&config.content_security_policy);
        Self { page_policy: policy.ok().filter(|policy| !policy.is_empty()) }
    }

    pub(super) fn apply(&self, response: &mut Response) {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut set = |name: HeaderName, value: &HeaderValue| {
            response.headers_mut().insert(name, value.clone());
        };
        set(X_CONTENT_TYPE_OPTIONS, &HeaderValue::from_static("nosniff"));
        // A link to a room says who plays where, and with whom.
        set(REFERRER_POLICY, &HeaderValue::from_static("no-referrer"));
        if let Some(policy) = &self.page_policy {
            set(CONTENT_SECURITY_POLICY, policy);
        }
    }
}
