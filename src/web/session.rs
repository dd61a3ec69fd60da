//! Sessions: a random token in a cookie, its hash in the store, an idle and an absolute end. [`StaffUser`] is the only
//! way to learn who is asking, and leads whoever still needs a second factor to where one begins. Knows cookies and times;
//! passwords and codes are `login`'s and `code_page`'s business.

use super::Hall;
use super::device;
use super::error::WebError;
use super::form::random;
use super::visitor::Visitor;
use crate::clock::Timestamp;
use crate::staff::Staff;
use crate::store::{Session, TokenHash};
use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
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
/// Somebody has no more sessions at once; the one unused for longest makes room.
const MAX_SESSIONS: usize = 20;
/// Where a second factor begins.
pub(super) const SECOND_FACTOR: &str = "/console/account/second-factor";
/// What can be opened by somebody who has no second factor yet and needs one.
const OPEN_WITHOUT: [&str; 2] = [SECOND_FACTOR, "/console/logout"];

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
            Some(user) if !needs_factor(hall, &user.staff) || OPEN_WITHOUT.contains(&parts.uri.path()) => {
                Ok(user)
            }
            Some(_) if !by_script => Err(WebError::NoSecondFactor),
            _ if by_script => Err(WebError::SessionOver),
            _ => Err(WebError::NotLoggedIn(parts.uri.path().to_owned())),
        }
    }
}

/// Whether somebody has to have a second factor and has none.
pub(super) fn needs_factor(hall: &Hall, staff: &Staff) -> bool {
    staff.second_factor.is_none() && hall.console.settings.second_factor.demands(staff.role)
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
    if session.is_over(now) {
        return Ok(None);
    }
    let Some(staff) = hall.store().staff(&session.staff).await? else { return Ok(None) };
    if staff.mark() != session.mark {
        // Both may have changed, together, between the two looks: somebody's own new password, say.
        match hall.store().session(&token).await? {
            Some(again) if again.mark == staff.mark() => session = again,
            _ => return Ok(None),
        }
    }
    if prolong && now.since(session.used_at) >= PROLONG_EVERY {
        session.ends_at = end(hall, now, session.dies_at);
        (session.used_at, session.address) = (now, visitor.address);
        hall.store().prolong_session(&token, &session).await?;
    }
    Ok(Some(StaffUser { staff, session: token }))
}

/// Begins a session; the cookie carries its token.
pub(super) async fn begin(
    hall: &Hall,
    visitor: &Visitor,
    headers: &HeaderMap,
    staff: &Staff,
) -> Result<Cookie<'static>, WebError> {
    let token: [u8; 32] = random()?;
    let now = hall.now();
    let mut others = hall.store().sessions_of(&staff.name).await?;
    others.sort_by_key(|(_, session)| std::cmp::Reverse(session.used_at));
    for (unused, _) in others.iter().skip(MAX_SESSIONS - 1) {
        hall.store().end_session(unused).await?;
    }
    let dies_at = now.after(hall.console.settings.session);
    let user_agent = headers.get(USER_AGENT).and_then(|line| line.to_str().ok());
    let session = Session {
        staff: staff.name.clone(),
        mark: staff.mark(),
        begun_at: now,
        used_at: now,
        address: visitor.address,
        browser: device::words(user_agent.unwrap_or_default()),
        ends_at: end(hall, now, dies_at),
        dies_at,
    };
    hall.store().put_session(&hash(&token), &session).await?;
    Ok(cookie(visitor, cookie_name(visitor), URL_SAFE_NO_PAD.encode(token)))
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
    gone(visitor, cookie_name(visitor))
}

fn gone(visitor: &Visitor, name: &'static str) -> Cookie<'static> {
    let mut cookie = cookie(visitor, name, String::new());
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

fn half_cookie_name(visitor: &Visitor) -> &'static str {
    if visitor.https { "__Host-xinqi-half" } else { "xinqi-local-half" }
}

fn cookie(visitor: &Visitor, name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(visitor.https)
        .build()
}

/// A token for who has given the password and not the code yet, and the cookie that carries it.
pub(super) fn half_cookie(visitor: &Visitor) -> Result<(TokenHash, Cookie<'static>), WebError> {
    let token: [u8; 32] = random()?;
    Ok((hash(&token), cookie(visitor, half_cookie_name(visitor), URL_SAFE_NO_PAD.encode(token))))
}

/// A cookie that takes that one away.
pub(super) fn no_half_cookie(visitor: &Visitor) -> Cookie<'static> {
    gone(visitor, half_cookie_name(visitor))
}

/// The token in that cookie.
pub(super) fn half_token(visitor: &Visitor, headers: &HeaderMap) -> Option<TokenHash> {
    token_named(half_cookie_name(visitor), headers)
}

fn token_in(visitor: &Visitor, headers: &HeaderMap) -> Option<TokenHash> {
    token_named(cookie_name(visitor), headers)
}

fn token_named(name: &str, headers: &HeaderMap) -> Option<TokenHash> {
    let jar = CookieJar::from_headers(headers);
    let token = URL_SAFE_NO_PAD.decode(jar.get(name)?.value()).ok()?;
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
