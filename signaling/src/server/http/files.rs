//! Serves the web build of the game: with the right content types, compressed if a compressed file
//! exists, and never stale.
//!
//! Nothing is compressed here: that would take megabytes of memory for each download, and
//! `cargo xtask web` does it once and better.

use std::{
    io,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{CACHE_CONTROL, ETAG, LAST_MODIFIED, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::Instant;
use tower_http::services::ServeDir;
use tracing::debug;

use super::admission::Client;
use crate::server::{
    counters::Counter,
    limits::{Source, SourceSlot},
    shared::Shared,
};

/// The number of bytes to read from a file at a time. A download whose client reads nothing holds
/// one such chunk, and 16 KiB more in the queue of the HTTP library. Smaller chunks would cost more
/// processor time than sending does.
const CHUNK_BYTES: usize = 4 * 1024;
/// The number of seconds after which a client that was refused because of other downloads should
/// try again: most downloads are over by then.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("10");

/// The files under the web root. If `NAME.br` or `NAME.gz` exists beside a file, browsers that can
/// read it receive it instead.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let Some(web_root) = &shared.config.web_root else {
        return Router::new().fallback(no_files);
    };
    let files = serve_dir(web_root);
    Router::new().fallback(move |request: Request| {
        let (files, shared) = (files.clone(), Arc::clone(&shared));
        async move { serve(files, request, &shared).await }
    })
}

fn serve_dir(web_root: &Path) -> ServeDir {
    ServeDir::new(web_root).precompressed_br().precompressed_gzip().with_buf_chunk_size(CHUNK_BYTES)
}

async fn serve(mut files: ServeDir, mut request: Request, shared: &Shared) -> Response {
    // No file has such a name, and the response could redirect a browser to a host with that name.
    if request.uri().path().contains("//") || request.uri().path().contains('\\') {
        return not_found();
    }
    // The host that the request names does not count either: the client stays on the host to which
    // it sent the request.
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
    let Ok(slot) = take_slot(&request, shared) else {
        shared.health.counters.count(Counter::RefusedDownload);
        let words = "There are too many downloads to your network. Try again in a moment.\n";
        let status = StatusCode::TOO_MANY_REQUESTS;
        return (status, [(RETRY_AFTER, RETRY_SECONDS)], words).into_response();
    };
    match files.try_call(request).await {
        Ok(response) if response.status() == StatusCode::NOT_FOUND => not_found(),
        Ok(response) => {
            let mut response = response.map(|body| Body::new(Held { body, _slot: slot }));
            revalidate(response.headers_mut());
            response
        }
        Err(error) if is_about_the_path(&error) => not_found(),
        Err(error) => {
            debug!(%error, "a file cannot be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "The file cannot be read.\n").into_response()
        }
    }
}

/// Takes a slot among the downloads of the client's address; `None` if the client is unknown. An
/// error means that all slots are taken.
fn take_slot(request: &Request, shared: &Shared) -> Result<Option<SourceSlot>, ()> {
    let Some(client) = request.extensions().get::<Client>() else { return Ok(None) };
    let is_proxy = |address| shared.config.is_trusted_proxy(address);
    let source = Source::of(client.address, request.headers(), is_proxy);
    shared.sources.download_slot(source, Instant::now()).map(Some).ok_or(())
}

/// Returns whether the error says that no such file can exist, as opposed to a failure to look for
/// it.
fn is_about_the_path(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    )
}

/// Lets browsers keep files, but makes them check each time whether the files are current, which
/// costs one short round trip: the files of a build keep their names, and a page must never run
/// with the script or module of another build.
fn revalidate(headers: &mut HeaderMap) {
    if headers.contains_key(LAST_MODIFIED) || headers.contains_key(ETAG) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "There is no such file.\n").into_response()
}

async fn no_files() -> (StatusCode, &'static str) {
    (
        StatusCode::NOT_FOUND,
        "This is a signaling server without web files. Peers meet over WebSocket at /ROOM; see also /health.\n",
    )
}

/// A body that holds a slot until it has been sent, or is dropped.
struct Held<B> {
    body: B,
    _slot: Option<SourceSlot>,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
