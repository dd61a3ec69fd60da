//! The frame every page stands in, the static files, and the headers that keep a page to itself. Knows HTML and HTTP;
//! nothing of tickets.

use super::error::WebError;
use super::form::FormKeys;
use super::session::StaffUser;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, Request};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::sync::LazyLock;

/// What stands around a page.
pub(super) struct Frame {
    /// Of the window.
    pub title: String,
    /// Who is logged in.
    pub user: Option<Signed>,
    /// Which part of the console this is: `queue`, `try`, `numbers`, `staff`, `doctor`, `qr`, `audit`, `account`, or nothing.
    pub here: &'static str,
}

/// Who is logged in, for the head of the page.
pub(super) struct Signed {
    /// Their name.
    pub name: String,
    /// Their role.
    pub role: &'static str,
    /// They see the pages of staff, diagnosis and QR codes.
    pub admin: bool,
    /// The key of every form on this page.
    pub key: String,
}

impl Frame {
    /// For a page anybody sees.
    pub fn plain(title: impl Into<String>) -> Self {
        Self { title: title.into(), user: None, here: "" }
    }

    /// For a page of somebody who is logged in, with a fresh form key.
    pub fn of(
        title: impl Into<String>,
        here: &'static str,
        user: &StaffUser,
        keys: &FormKeys,
    ) -> Result<Self, WebError> {
        let signed = Signed {
            name: user.staff.name.clone(),
            role: user.staff.role.name(),
            admin: user.is_admin(),
            key: keys.issue(&user.session)?,
        };
        Ok(Self { title: title.into(), user: Some(signed), here })
    }

    /// Whether this is one of the pages that only administrators have.
    pub fn is_for_admins(&self) -> bool {
        matches!(self.here, "staff" | "qr" | "doctor" | "audit")
    }

    /// The key of the page's forms.
    pub fn key(&self) -> &str {
        self.user.as_ref().map_or("", |user| user.key.as_str())
    }

    /// Where a static file is; the address changes with its content.
    pub fn asset(&self, name: &str) -> String {
        asset_url(name)
    }
}

/// A page as a response.
pub(super) fn render(status: StatusCode, page: &impl Template) -> Result<Response, WebError> {
    let html = page.render().map_err(anyhow::Error::from)?;
    Ok((status, Html(html)).into_response())
}

/// What stands after the question mark; what cannot be read counts as absent.
pub(super) fn query<T: DeserializeOwned + Default>(uri: &Uri) -> T {
    Query::try_from_uri(uri).map(|Query(asked)| asked).unwrap_or_default()
}

struct Asset {
    name: &'static str,
    kind: &'static str,
    body: &'static str,
    version: String,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// Each face adds its files here.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let files = [
        ("tokens.css", CSS, include_str!("pages/tokens.css")),
        ("base.css", CSS, include_str!("pages/base.css")),
        ("console.css", CSS, include_str!("pages/console.css")),
        ("inbox.css", CSS, include_str!("pages/inbox.css")),
        ("ticket.css", CSS, include_str!("pages/ticket.css")),
        ("people.css", CSS, include_str!("pages/people.css")),
        ("console.js", JS, include_str!("pages/console.js")),
        ("numbers.css", CSS, include_str!("pages/numbers.css")),
        ("answer.css", CSS, include_str!("pages/answer.css")),
        ("simulator.css", CSS, include_str!("pages/simulator.css")),
        ("simulator.js", JS, include_str!("pages/simulator.js")),
        ("icon.svg", "image/svg+xml; charset=utf-8", include_str!("pages/icon.svg")),
    ];
    files.into_iter().map(|(name, kind, body)| Asset { name, kind, body, version: version(body) }).collect()
});

fn version(body: &str) -> String {
    let mut version = String::new();
    for byte in &Sha256::digest(body)[..6] {
        let _ = write!(version, "{byte:02x}");
    }
    version
}

/// Where a static file is.
pub(super) fn asset_url(name: &str) -> String {
    let version = ASSETS.iter().find(|asset| asset.name == name).map_or("", |asset| asset.version.as_str());
    format!("/static/{name}?v={version}")
}

/// The style sheets, scripts and pictures under `/static`, compiled in.
pub(super) fn static_router() -> Router {
    Router::new().route("/static/{name}", get(serve_asset))
}

async fn serve_asset(
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    uri: Uri,
) -> Response {
    let name = path.map(|Path(name)| name).unwrap_or_default();
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return WebError::NotFound.into_response();
    };
    let is_current = uri.query().and_then(|query| query.strip_prefix("v=")) == Some(asset.version.as_str());
    let cache = if is_current { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, cache)], asset.body).into_response()
}

const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Keeps a page out of frames, caches and other sites' sight.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not "no-referrer": with it browsers send `Origin: null` from our own login form.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        // A file's own policy is stricter.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
