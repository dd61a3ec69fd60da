//! The second page of coming in: the code after the password. Whoever has given the password holds half a session, for
//! five minutes, in RAM. Knows halves and the form; what counts as a code decides `staff::second_factor`.

use super::Hall;
use super::error::WebError;
use super::form::OwnPageForm;
use super::login::{admit, come_in, note_failure};
use super::page::{Frame, render};
use super::session::{half_cookie, half_token, no_half_cookie, visitor};
use super::visitor::Visitor;
use crate::clock::Timestamp;
use crate::staff::Staff;
use crate::staff::second_factor::is_code;
use crate::store::{Changed, TokenHash};
use askama::Template;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long a code may be given after the password.
const LASTS: Duration = Duration::from_secs(5 * 60);
/// One person has no more halves at once; the oldest makes room. So there are never more than that for each of the staff.
const MAX_OF_ONE: usize = 5;

/// Somebody has given the password.
#[derive(Clone)]
struct Half {
    staff: String,
    /// [`Staff::mark`] at that moment.
    mark: [u8; 16],
    /// Where they want to go.
    next: String,
    ends_at: Timestamp,
}

/// Who has given the password and not the code yet.
#[derive(Default)]
pub(super) struct Halves(Mutex<FxHashMap<TokenHash, Half>>);

impl Halves {
    /// Somebody has given the password; the cookie says so.
    pub fn begin(
        &self,
        visitor: &Visitor,
        staff: &Staff,
        next: String,
        now: Timestamp,
    ) -> Result<Cookie<'static>, WebError> {
        let (token, cookie) = half_cookie(visitor)?;
        let mut halves = self.all();
        halves.retain(|_, half| half.ends_at > now);
        let of_one = halves.iter().filter(|(_, half)| half.staff == staff.name);
        let mut of_one: Vec<_> = of_one.map(|(token, half)| (half.ends_at, *token)).collect();
        of_one.sort_unstable();
        for (_, token) in of_one.iter().rev().skip(MAX_OF_ONE - 1) {
            halves.remove(token);
        }
        let (staff, mark) = (staff.name.clone(), staff.mark());
        halves.insert(token, Half { staff, mark, next, ends_at: now.after(LASTS) });
        Ok(cookie)
    }

    fn find(&self, token: &TokenHash, now: Timestamp) -> Option<Half> {
        self.all().get(token).filter(|half| half.ends_at > now).cloned()
    }

    fn end(&self, token: &TokenHash) {
        self.all().remove(token);
    }

    fn all(&self) -> MutexGuard<'_, FxHashMap<TokenHash, Half>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Template)]
#[template(path = "code.html")]
struct CodePage {
    frame: Frame,
    name: String,
    refused: &'static str,
    /// A recovery code was tried.
    recovery: bool,
}

impl CodePage {
    fn new(name: String) -> Self {
        Self { frame: Frame::plain("第二验证"), name, refused: "", recovery: false }
    }
}

fn back_to_the_password() -> Response {
    Redirect::to("/console/login?from=slow").into_response()
}

/// The form, for who has given the password.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let token = half_token(&visitor(&extensions)?, &headers);
    match token.and_then(|token| hall.halves.find(&token, hall.now())) {
        Some(half) => render(StatusCode::OK, &CodePage::new(half.staff)),
        None => Ok(back_to_the_password()),
    }
}

/// Somebody gave a code.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    headers: HeaderMap,
    OwnPageForm(visitor, fields): OwnPageForm,
) -> Result<Response, WebError> {
    let now = hall.now();
    let Some(token) = half_token(&visitor, &headers) else { return Ok(back_to_the_password()) };
    let Some(half) = hall.halves.find(&token, now) else { return Ok(back_to_the_password()) };
    let attempt = admit(&hall, &visitor, &half.staff)?;
    let (mark, typed) = (half.mark, fields.get("code").to_owned());
    let by_code = is_code(&typed);
    // Looking and using up are one: of two who send the same code at once, one comes in.
    let change = move |staff: &mut Staff| {
        let same = staff.mark() == mark;
        same && staff.second_factor.as_mut().is_some_and(|factor| factor.uses(&typed, now))
    };
    if hall.store().change_staff(&half.staff, None, Box::new(change)).await? != Changed::Done {
        note_failure(&hall, &visitor, &attempt, &half.staff).await?;
        let refused = match fields.get("kind") {
            "recovery" => "恢复码不对，或者已经用过。",
            _ => "验证码不对，或者已经用过。请等手机上换了新的再试。",
        };
        let recovery = fields.get("kind") == "recovery";
        return render(
            StatusCode::UNAUTHORIZED,
            &CodePage { refused, recovery, ..CodePage::new(half.staff) },
        );
    }
    hall.halves.end(&token);
    // Let go, or given another password, between the code and now.
    let staff = hall.store().staff(&half.staff).await?.filter(|staff| staff.mark() == mark);
    let Some(staff) = staff else { return Ok(back_to_the_password()) };
    if !by_code {
        let left = staff.second_factor.as_ref().map_or(0, |factor| factor.n_recovery());
        hall.audit(&staff.name, "使用恢复码", &format!("还剩 {left} 个")).await?;
    }
    let response = come_in(&hall, &visitor, &headers, &staff, &attempt, &half.next).await?;
    Ok((CookieJar::new().add(no_half_cookie(&visitor)), response).into_response())
}
