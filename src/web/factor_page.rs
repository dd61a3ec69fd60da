//! Where a second factor begins and ends: the QR code, the first code that proves it was read, recovery codes shown once.
//! Knows the forms and keeps what was shown for a double click; what counts as a code decides `staff::second_factor`.

use super::Hall;
use super::account_page::{Refused, refuse};
use super::error::WebError;
use super::form::{Keyed, Posted, random};
use super::login::{admit, is_own_password, note_failure};
use super::page::{Frame, render};
use super::session::{StaffUser, needs_factor, visitor};
use super::visitor::Visitor;
use crate::qr;
use crate::staff::Staff;
use crate::staff::second_factor::{FactorSecret, SecondFactor, address, recovery_codes, spelled};
use crate::store::Changed;
use askama::Template;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Mutex;

#[derive(Template)]
#[template(path = "totp.html")]
struct FactorPage {
    frame: Frame,
    name: String,
    /// Nothing else can be opened before.
    forced: bool,
    /// There is one already.
    replaces: bool,
    picture: String,
    secret: String,
    refused: String,
    /// Shown once, when it has begun.
    codes: Vec<String>,
}

/// Recovery codes shown a moment ago, by the keys of their forms: the same form twice shows the same ones. Locked while a
/// factor begins.
#[derive(Default)]
pub(super) struct Shown(Mutex<VecDeque<(String, Vec<String>)>>);

/// A form is sent again within seconds, if at all.
const MAX_SHOWN: usize = 8;

/// The QR code and the form.
pub(super) async fn show(State(hall): State<Arc<Hall>>, user: StaffUser) -> Result<Response, WebError> {
    render(StatusCode::OK, &page(&hall, &user, String::new())?)
}

/// The same until it is used: who loads the page anew need not read the code again.
fn secret(hall: &Hall, user: &StaffUser) -> FactorSecret {
    hall.keys.derive(&user.session, &user.staff.mark())
}

fn page(hall: &Hall, user: &StaffUser, refused: String) -> Result<FactorPage, WebError> {
    let (name, secret) = (user.staff.name.clone(), secret(hall, user));
    let picture = address(secret, &name).and_then(|address| qr::svg(&address));
    let picture = picture.ok_or_else(|| anyhow::anyhow!("a second factor could not be drawn"))?;
    Ok(FactorPage {
        frame: Frame::of("第二验证", "account", user, &hall.keys)?,
        name,
        forced: needs_factor(hall, &user.staff),
        replaces: user.staff.second_factor.is_some(),
        picture: format!("data:image/svg+xml;base64,{}", STANDARD.encode(picture)),
        secret: spelled(secret),
        refused,
        codes: Vec::new(),
    })
}

/// The first code.
pub(super) async fn submit(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    let mut shown = hall.shown.0.lock().await;
    let codes = match shown.iter().find(|(key, _)| *key == form.key) {
        Some((_, codes)) => codes.clone(),
        None => {
            let codes = match begin(&hall, &visitor(&extensions)?, &form).await? {
                Ok(codes) => codes,
                Err(refused) => {
                    drop(shown);
                    let page = page(&hall, &form.user, refused.into())?;
                    return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
                }
            };
            if shown.len() >= MAX_SHOWN {
                shown.pop_front();
            }
            shown.push_back((form.key.clone(), codes.clone()));
            codes
        }
    };
    drop(shown);
    let page = FactorPage { codes, forced: false, ..page(&hall, &form.user, String::new())? };
    render(StatusCode::OK, &page)
}

/// Begins a factor, or begins it anew; the recovery codes, or what was wrong.
async fn begin(
    hall: &Hall,
    visitor: &Visitor,
    form: &Keyed,
) -> Result<Result<Vec<String>, &'static str>, WebError> {
    let (user, now) = (&form.user, hall.now());
    // Who was led here has given the password a moment ago, or nothing could be opened.
    if !needs_factor(hall, &user.staff)
        && !is_own_password(hall, visitor, user, form.fields.get("password")).await?
    {
        return Ok(Err("密码不对。"));
    }
    let attempt = admit(hall, visitor, &user.staff.name)?;
    let codes = recovery_codes(&random()?);
    let Some(factor) = SecondFactor::begin(secret(hall, user), form.fields.get("code"), &codes, now) else {
        note_failure(hall, visitor, &attempt, &user.staff.name).await?;
        return Ok(Err("验证码不对。请看手机上现在的 6 位数字；一直不对，请核对手机的时间。"));
    };
    hall.throttle.forgive(&attempt);
    let (mark, replaces) = (user.staff.mark(), user.staff.second_factor.is_some());
    let change = move |staff: &mut Staff| {
        let same = staff.mark() == mark;
        staff.second_factor = Some(factor);
        same
    };
    let (name, goes_on) = (&user.staff.name, Some(user.session));
    if hall.store().change_staff(name, goes_on, Box::new(change)).await? != Changed::Done {
        return Err(WebError::Expired);
    }
    let what = if replaces { "更换第二验证" } else { "开启第二验证" };
    hall.audit(&user.staff.name, what, &user.staff.name).await?;
    Ok(Ok(codes))
}

/// Does without one from now on, where that is allowed.
pub(super) async fn end(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    let staff = &form.user.staff;
    if hall.console.settings.second_factor.demands(staff.role) {
        return Err(WebError::Forbidden(
            "您的角色必须使用第二验证，不能关闭。要换手机，请在“我的账号”里重新设置。",
        ));
    }
    if !is_own_password(&hall, &visitor(&extensions)?, &form.user, form.fields.get("password")).await? {
        let refused = Refused { factor: "密码不对。".into(), ..Refused::default() };
        return refuse(&hall, &form, StatusCode::UNAUTHORIZED, refused).await;
    }
    let mark = staff.mark();
    let change = move |staff: &mut Staff| {
        let same = staff.mark() == mark;
        staff.second_factor = None;
        same
    };
    let goes_on = Some(form.user.session);
    if hall.store().change_staff(&staff.name, goes_on, Box::new(change)).await? != Changed::Done {
        return Err(WebError::Expired);
    }
    hall.audit(&staff.name, "关闭第二验证", &staff.name).await?;
    Ok(Redirect::to("/console/account?done=factor-off").into_response())
}
