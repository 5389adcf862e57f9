//! Headers that stop browsers from using our responses for anything but their intended purpose.

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};

use crate::server::config::ServerConfig;

/// The headers that protect a response and the browser that shows it.
#[derive(Debug, Clone)]
pub(super) struct Protection {
    /// `None` if the operator wants no policy.
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
        // The address of a room reveals who plays where, and with whom.
        set(REFERRER_POLICY, &HeaderValue::from_static("no-referrer"));
        if let Some(policy) = &self.page_policy {
            set(CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// Returns whether a page of this origin may use the server.
pub(super) fn is_allowed_origin(origin: &HeaderValue, config: &ServerConfig) -> bool {
    let allowed = &config.allowed_origins;
    allowed.is_empty()
        || allowed.iter().any(|one| origin.as_bytes().eq_ignore_ascii_case(one.as_bytes()))
}

/// Lets the page that sent a request with these headers read the response, if it may use the
/// server.
pub(super) fn share_with_page(response: &mut Response, request: &HeaderMap, config: &ServerConfig) {
    let headers = response.headers_mut();
    if config.allowed_origins.is_empty() {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        return;
    }
    // A cache must not use the response to one page for another page.
    headers.append(VARY, HeaderValue::from_name(ORIGIN));
    if let Some(origin) = request.get(ORIGIN).filter(|origin| is_allowed_origin(origin, config)) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}
