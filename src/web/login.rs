//! Coming in and going out: name and password against the store, with a brake on guessing. Knows the order of checks;
//! how a password is kept is `staff`'s business, the code after it `code_page`'s.

use super::Hall;
use super::error::WebError;
use super::form::{OwnPageForm, Posted};
use super::page::{Frame, query, render};
use super::session::{
    SECOND_FACTOR, StaffUser, begin, end_by_cookie, find, needs_factor, no_cookie, own_path, visitor,
};
use super::throttle::Try;
use super::visitor::Visitor;
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
        Some("slow") => "时间过了 5 分钟，请再输一次姓名和密码。",
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
    let attempt = admit(&hall, &visitor, &name)?;
    // An over-long name is nobody's; the store is not asked for it.
    let known = if name.chars().count() <= 20 { hall.store().staff(&name).await? } else { None };
    let is_known = known.is_some();
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
        // What is nobody's name may be a password in the wrong field.
        note_failure(&hall, &visitor, &attempt, if is_known { &name } else { "（没有这个人）" }).await?;
        let refused = "姓名或密码不对。";
        let page = LoginPage { frame: Frame::plain("登录"), name, next, refused, hello: "", nobody: false };
        return render(StatusCode::UNAUTHORIZED, &page);
    };
    if staff.second_factor.is_some() {
        hall.throttle.forgive(&attempt);
        let cookie = hall.halves.begin(&visitor, &staff, next, hall.now())?;
        return Ok((CookieJar::new().add(cookie), Redirect::to("/console/login/code")).into_response());
    }
    come_in(&hall, &visitor, &headers, &staff, &attempt, &next).await
}

/// Lets a try through, or says until when none is.
pub(super) fn admit(hall: &Hall, visitor: &Visitor, name: &str) -> Result<Try, WebError> {
    let now = hall.now();
    hall.throttle.admit(visitor.address, name, now).map_err(|until| {
        tracing::warn!(address = %visitor.address, "login refused after too many failures");
        WebError::Throttled(until, now)
    })
}

/// A guess was wrong; notes it where no further one is let through for a time.
pub(super) async fn note_failure(
    hall: &Hall,
    visitor: &Visitor,
    attempt: &Try,
    name: &str,
) -> Result<(), WebError> {
    if let Some(until) = hall.throttle.fail(attempt) {
        hall.audit(name, "登录失败过多，暂停登录", &format!("{}，到 {until}", visitor.address)).await?;
    }
    Ok(())
}

/// Everything that was asked for was right: a session begins.
pub(super) async fn come_in(
    hall: &Hall,
    visitor: &Visitor,
    headers: &HeaderMap,
    staff: &Staff,
    attempt: &Try,
    next: &str,
) -> Result<Response, WebError> {
    end_by_cookie(hall, visitor, headers).await?;
    let now = hall.now();
    let note = move |staff: &mut Staff| {
        staff.last_login = Some(now);
        true
    };
    hall.store().change_staff(&staff.name, None, Box::new(note)).await?;
    let cookie = begin(hall, visitor, headers, staff).await?;
    hall.throttle.succeed(attempt);
    hall.audit(&staff.name, "登录", &visitor.address.to_string()).await?;
    let next = if needs_factor(hall, staff) { SECOND_FACTOR } else { next };
    Ok((CookieJar::new().add(cookie), Redirect::to(next)).into_response())
}

/// Whether this is the password of who is logged in. Wrong ones count as they do at the door.
pub(super) async fn is_own_password(
    hall: &Hall,
    visitor: &Visitor,
    user: &StaffUser,
    password: &str,
) -> Result<bool, WebError> {
    let attempt = admit(hall, visitor, &user.staff.name)?;
    let (staff, password) = (user.staff.clone(), password.to_owned());
    let known = hall.checker.run(move || staff.knows(&password)).await;
    if !matches!(known, Ok(false)) {
        hall.throttle.forgive(&attempt);
    } else {
        note_failure(hall, visitor, &attempt, &user.staff.name).await?;
    }
    known
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
    hall.audit(&form.user.staff.name, "退出", "").await?;
    let jar = CookieJar::new().add(no_cookie(&visitor(&extensions)?));
    Ok((jar, Redirect::to("/console/login?from=logout")).into_response())
}
