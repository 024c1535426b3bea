//! `GET /assets/{version}/{file}`: style, script and icon, built into the program. The version is the hash of what it holds,
//! so that a browser keeps it forever and never has an old one.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::nothing_here;
use crate::base::encoding::{hex, sha256};

struct Asset {
    file: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
    version: String,
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    let asset = |file, content_type, bytes: &'static [u8]| Asset {
        file,
        content_type,
        bytes,
        version: hex(&sha256(bytes)[..8]),
    };
    [
        asset(
            "app.css",
            "text/css; charset=utf-8",
            include_bytes!("../../../web/static/app.css"),
        ),
        asset(
            "app.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../../web/static/app.js"),
        ),
        asset(
            "htmx.min.js",
            "text/javascript; charset=utf-8",
            include_bytes!("../../../web/vendor/htmx.min.js"),
        ),
        asset(
            "icon.svg",
            "image/svg+xml",
            include_bytes!("../../../web/static/icon.svg"),
        ),
    ]
});

/// Where a file is found now.
///
/// # Panics
/// For a file that there is none of: a mistake in a template, which the first test that renders it finds.
pub(super) fn link(file: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.file == file);
    let version = &asset.expect("templates name files that are there").version;
    format!("/assets/{version}/{file}")
}

/// A file. One with the version of another release is answered with today's, and not kept.
pub(super) async fn asset(Path((version, file)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.file == file) else {
        return nothing_here();
    };
    let etag = format!("\"{}\"", asset.version);
    let keep = match version == asset.version {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let caching = [(ETAG, etag.clone()), (CACHE_CONTROL, keep.to_owned())];
    let known = headers.get(IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(CONTENT_TYPE, asset.content_type)], asset.bytes).into_response()
}
