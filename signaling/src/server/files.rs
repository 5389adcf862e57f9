//! Serves the web build of the game: right types, compressed, never stale.

use std::path::Path;

use axum::{
    Router,
    handler::HandlerWithoutStateExt,
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, ETAG, LAST_MODIFIED},
    },
    middleware::map_response,
    response::Response,
};
use tower_http::{compression::CompressionLayer, services::ServeDir};

/// The files under `web_root`. Where `NAME.br` or `NAME.gz` lies beside a file, it is sent to browsers that can read
/// it; else the file is compressed on its way.
pub(crate) fn router(web_root: Option<&Path>) -> Router {
    let Some(web_root) = web_root else {
        return Router::new().fallback(no_files);
    };
    let files = ServeDir::new(web_root)
        .precompressed_br()
        .precompressed_gzip()
        .fallback(not_found.into_service());
    Router::new()
        .fallback_service(files)
        .layer(CompressionLayer::new())
        .layer(map_response(revalidate))
}

/// Has browsers keep files, but ask each time whether they are current, which costs one short round trip: the files
/// of a build keep their names, and a page must never run with another build's script or module.
async fn revalidate(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(LAST_MODIFIED) || headers.contains_key(ETAG) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "There is no such file.\n")
}

async fn no_files() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "This is a signaling server without web files. Peers meet over WebSocket at /ROOM; see also /health.\n",
    )
}
