//! Sessions: a random token in a cookie, its hash in the store, an idle and an absolute end. [`StaffUser`] is the only
//! way to learn who is asking. Knows cookies and times; passwords are `login`'s business.

use super::Hall;
use super::error::WebError;
use super::form::random;
use super::visitor::Visitor;
use crate::clock::Timestamp;
use crate::staff::Staff;
use crate::store::{Session, TokenHash};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// A session is prolonged at most once in this time.
const PROLONG_EVERY: Duration = Duration::from_secs(60);

/// Somebody who is logged in.
pub(super) struct StaffUser {
    /// Who.
    pub staff: Staff,
    /// Names their session.
    pub session: TokenHash,
}

impl StaffUser {
    /// Whether they look after staff, too.
    pub fn is_admin(&self) -> bool {
        self.staff.is_admin()
    }
}

impl FromRequestParts<Arc<Hall>> for StaffUser {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, hall: &Arc<Hall>) -> Result<Self, WebError> {
        // What a page fetches by itself must not keep a session alive that nobody uses.
        let by_script =
            parts.uri.query().is_some_and(|query| query.split('&').any(|part| part == "fragment=1"));
        let visitor = visitor(&parts.extensions)?;
        match find(hall, &visitor, &parts.headers, !by_script).await? {
            Some(user) => Ok(user),
            None if by_script => Err(WebError::SessionOver),
            None => Err(WebError::NotLoggedIn(parts.uri.path().to_owned())),
        }
    }
}

/// Where the request comes from, as the door noted it.
pub(super) fn visitor(extensions: &Extensions) -> Result<Visitor, WebError> {
    let noted = extensions.get::<Visitor>().cloned();
    noted.ok_or_else(|| WebError::Internal(anyhow::anyhow!("a request came past the door")))
}

/// Who is asking, if a session that has not ended says so.
pub(super) async fn find(
    hall: &Hall,
    visitor: &Visitor,
    headers: &HeaderMap,
    prolong: bool,
) -> Result<Option<StaffUser>, WebError> {
    let Some(token) = token_in(visitor, headers) else { return Ok(None) };
    let Some(mut session) = hall.store().session(&token).await? else { return Ok(None) };
    let now = hall.now();
    if session.ends_at.min(session.dies_at) <= now {
        return Ok(None);
    }
    let Some(staff) = hall.store().staff(&session.staff).await? else { return Ok(None) };
    if staff.mark() != session.mark {
        return Ok(None);
    }
    let ends_at = end(hall, now, session.dies_at);
    if prolong && ends_at.since(session.ends_at) >= PROLONG_EVERY {
        session.ends_at = ends_at;
        hall.store().prolong_session(&token, &session).await?;
    }
    Ok(Some(StaffUser { staff, session: token }))
}

/// Begins a session; the cookie carries its token.
pub(super) async fn begin(
    hall: &Hall,
    visitor: &Visitor,
    staff: &Staff,
) -> Result<Cookie<'static>, WebError> {
    let token: [u8; 32] = random()?;
    let now = hall.now();
    let dies_at = now.after(hall.console.settings.session);
    let session =
        Session { staff: staff.name.clone(), mark: staff.mark(), ends_at: end(hall, now, dies_at), dies_at };
    hall.store().put_session(&hash(&token), &session).await?;
    Ok(cookie(visitor, URL_SAFE_NO_PAD.encode(token)))
}

/// Ends the session the cookie names, if it does.
pub(super) async fn end_by_cookie(
    hall: &Hall,
    visitor: &Visitor,
    headers: &HeaderMap,
) -> Result<(), WebError> {
    if let Some(token) = token_in(visitor, headers) {
        hall.store().end_session(&token).await?;
    }
    Ok(())
}

/// A cookie that takes the session's cookie away.
pub(super) fn no_cookie(visitor: &Visitor) -> Cookie<'static> {
    let mut cookie = cookie(visitor, String::new());
    cookie.make_removal();
    cookie
}

fn end(hall: &Hall, now: Timestamp, dies_at: Timestamp) -> Timestamp {
    now.after(hall.console.settings.idle).min(dies_at)
}

/// On this machine without https not every browser keeps a `Secure` cookie, so that there it has another name.
fn cookie_name(visitor: &Visitor) -> &'static str {
    if visitor.https { "__Host-xinqi" } else { "xinqi-local" }
}

fn cookie(visitor: &Visitor, value: String) -> Cookie<'static> {
    Cookie::build((cookie_name(visitor), value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(visitor.https)
        .build()
}

fn token_in(visitor: &Visitor, headers: &HeaderMap) -> Option<TokenHash> {
    let jar = CookieJar::from_headers(headers);
    let token = URL_SAFE_NO_PAD.decode(jar.get(cookie_name(visitor))?.value()).ok()?;
    <&[u8; 32]>::try_from(token.as_slice()).ok().map(hash)
}

fn hash(token: &[u8; 32]) -> TokenHash {
    Sha256::digest(token).into()
}

/// The login page that leads back to `path`.
pub(super) fn login_url(path: &str) -> String {
    match own_path(path) {
        Some("/console") | None => "/console/login".to_owned(),
        Some(path) => format!("/console/login?next={path}"),
    }
}

/// The path, if it leads into the console and nowhere else and needs no escaping.
pub(super) fn own_path(path: &str) -> Option<&str> {
    let inside = path == "/console" || path.starts_with("/console/");
    let plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte));
    let pointless = path.starts_with("/console/log");
    (inside && plain && !path.contains("//") && !pointless && path.len() <= 200).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_leads_back_into_the_console_only() {
        assert_eq!(own_path("/console/tickets/2026-1124-007"), Some("/console/tickets/2026-1124-007"));
        for elsewhere in [
            "//evil.example",
            "/console//evil",
            "https://evil",
            "/consolex",
            "/console/%0d",
            "/console/logout",
        ] {
            assert_eq!(own_path(elsewhere), None, "{elsewhere}");
        }
        assert_eq!(login_url("/console"), "/console/login");
    }
}
