//! Coming in and going out: name and password against the store, with a brake on guessing. Knows the order of checks;
//! how a password is kept is `staff`'s business.

use super::Hall;
use super::error::WebError;
use super::form::{OwnPageForm, Posted};
use super::page::{Frame, query, render};
use super::session::{begin, end_by_cookie, find, no_cookie, own_path, visitor};
use crate::staff::{self, Staff};
use askama::Template;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::CookieJar;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
    name: String,
    next: String,
    refused: &'static str,
    hello: &'static str,
    /// Nobody has been taken on yet.
    nobody: bool,
}

#[derive(Deserialize, Default)]
struct LoginQuery {
    next: Option<String>,
    from: Option<String>,
}

/// Does the slow work on passwords off the async threads, two at once: each takes 19 MiB.
pub(super) struct Checker {
    places: Semaphore,
}

impl Default for Checker {
    fn default() -> Self {
        Self { places: Semaphore::new(2) }
    }
}

/// Longer than this nobody waits for a place.
const PATIENCE: Duration = Duration::from_secs(8);

impl Checker {
    /// Runs slow work on a password.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, WebError> {
        let place = tokio::time::timeout(PATIENCE, self.places.acquire()).await;
        let _place = place.map_err(|_| WebError::Busy)?.map_err(anyhow::Error::from)?;
        Ok(tokio::task::spawn_blocking(work).await.map_err(anyhow::Error::from)?)
    }
}

/// The login page.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: LoginQuery = query(&uri);
    let next = asked.next.as_deref().and_then(own_path).unwrap_or("/console");
    if find(&hall, &visitor(&extensions)?, &headers, false).await?.is_some() {
        return Ok(Redirect::to(next).into_response());
    }
    let hello = match asked.from.as_deref() {
        Some("setup") => "管理员已建好，请登录。",
        Some("logout") => "已退出。",
        _ => "",
    };
    let nobody = hall.store().all_staff().await?.is_empty();
    let page = LoginPage {
        frame: Frame::plain("登录"),
        name: String::new(),
        next: next.to_owned(),
        refused: "",
        hello,
        nobody,
    };
    render(StatusCode::OK, &page)
}

/// Somebody gave name and password.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    headers: HeaderMap,
    OwnPageForm(visitor, fields): OwnPageForm,
) -> Result<Response, WebError> {
    let name = fields.trimmed("name").to_owned();
    let password = fields.get("password").to_owned();
    let next = own_path(fields.get("next")).unwrap_or("/console").to_owned();
    let now = hall.now();
    let attempt = hall.throttle.admit(visitor.address, &name, now).map_err(|until| {
        tracing::warn!(address = %visitor.address, "login refused after too many failures");
        WebError::Throttled(until, now)
    })?;
    // An over-long name is nobody's; the store is not asked for it.
    let known = if name.chars().count() <= 20 { hall.store().staff(&name).await? } else { None };
    let checked = hall.checker.run(move || check(known, &password)).await;
    let staff = match checked {
        Ok(staff) => staff,
        Err(error) => {
            // Nothing was checked: the try does not count.
            hall.throttle.forgive(&attempt);
            return Err(error);
        }
    };
    let Some(staff) = staff else {
        tracing::warn!(address = %visitor.address, "wrong name or password");
        let refused = "姓名或密码不对。";
        let page = LoginPage { frame: Frame::plain("登录"), name, next, refused, hello: "", nobody: false };
        return render(StatusCode::UNAUTHORIZED, &page);
    };
    hall.throttle.forgive(&attempt);
    end_by_cookie(&hall, &visitor, &headers).await?;
    let cookie = begin(&hall, &visitor, &staff).await?;
    tracing::info!(address = %visitor.address, staff = staff.name, "logged in");
    Ok((CookieJar::new().add(cookie), Redirect::to(&next)).into_response())
}

/// The member of staff, if the password is theirs; as slow for a name that is nobody's.
fn check(known: Option<Staff>, password: &str) -> Option<Staff> {
    match known {
        Some(staff) => staff.knows(password).then_some(staff),
        None => {
            staff::pretend_to_check(password);
            None
        }
    }
}

/// Somebody goes out.
pub(super) async fn leave(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    hall.store().end_session(&form.user.session).await?;
    let jar = CookieJar::new().add(no_cookie(&visitor(&extensions)?));
    Ok((jar, Redirect::to("/console/login?from=logout")).into_response())
}
