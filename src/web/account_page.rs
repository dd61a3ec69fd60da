//! 我的账号: what somebody may do about themselves: password, sessions, out of office. Knows the forms; the second
//! factor's is `factor_page`'s, and what an absence means for tickets is somebody else's.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Keyed, Posted, random};
use super::login::is_own_password;
use super::page::{Frame, query, render};
use super::session::{StaffUser, visitor};
use crate::clock::Timestamp;
use crate::knowledge::Department;
use crate::staff::{Away, MIN_PASSWORD, NewPassword, Role, Staff};
use crate::store::{Changed, Session, TokenHash};
use crate::words;
use askama::Template;
use axum::extract::State;
use axum::http::{Extensions, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use serde::Deserialize;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Nobody is away for longer at once: who plans further ahead has left.
const LONGEST_AWAY: Duration = Duration::from_secs(180 * 24 * 3600);

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    frame: Frame,
    name: String,
    role: &'static str,
    duty: &'static str,
    department: &'static str,
    last_login: String,
    min: usize,
    factor: Option<Factor>,
    /// They may not be without one.
    demanded: bool,
    sessions: Vec<Seen>,
    away: Option<AwayShown>,
    colleagues: Vec<(String, bool)>,
    /// The first and the last day that can be chosen, and the one that was.
    days: [String; 3],
    done: &'static str,
    refused: Refused,
}

struct Factor {
    since: String,
    n_recovery: usize,
}

struct AwayShown {
    last_day: String,
    deputy: String,
    /// The deputy works here no more.
    deputy_gone: bool,
}

/// A session as it is listed.
struct Seen {
    id: String,
    browser: String,
    address: String,
    begun: String,
    used: String,
    this: bool,
}

/// What was wrong, beside the form it was wrong in.
#[derive(Default)]
pub(super) struct Refused {
    pub password: String,
    pub factor: String,
    pub away: String,
}

#[derive(Deserialize, Default)]
struct Asked {
    done: Option<String>,
}

/// The page.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let mut page = page(&hall, &user, &Fields::default(), Refused::default()).await?;
    page.done = match query::<Asked>(&uri).done.as_deref() {
        Some("password") => "密码已改，其他登录都已结束。",
        Some("factor-off") => "第二验证已关闭，其他登录都已结束。",
        Some("session") => "已结束。",
        Some("away") => "已设为外出。",
        Some("back") => "外出已结束。",
        _ => "",
    };
    render(StatusCode::OK, &page)
}

/// The page again, with what was wrong.
pub(super) async fn refuse(
    hall: &Hall,
    form: &Keyed,
    status: StatusCode,
    refused: Refused,
) -> Result<Response, WebError> {
    render(status, &page(hall, &form.user, &form.fields, refused).await?)
}

async fn page(
    hall: &Hall,
    user: &StaffUser,
    fields: &Fields,
    refused: Refused,
) -> Result<AccountPage, WebError> {
    let (staff, now) = (&user.staff, hall.now());
    let all = hall.store().all_staff().await?;
    let away = staff.away_at(now).map(|away| AwayShown {
        last_day: last_day(away, now),
        deputy: away.deputy.clone(),
        deputy_gone: !all.iter().any(|one| one.name == away.deputy),
    });
    let chosen = fields.trimmed("deputy");
    let fit = all.iter().filter(|one| stands_in(one, &staff.name, now));
    let day = |span: Duration| now.after(span).date().to_string();
    Ok(AccountPage {
        frame: Frame::of("我的账号", "account", user, &hall.keys)?,
        name: staff.name.clone(),
        role: staff.role.name(),
        duty: staff.role.duty(),
        department: staff.department.map_or("不分部门", Department::name),
        last_login: staff.last_login.map_or_else(|| "—".into(), |at| words::dated(at, now)),
        min: MIN_PASSWORD,
        factor: staff
            .second_factor
            .as_ref()
            .map(|factor| Factor { since: words::dated(factor.since, now), n_recovery: factor.n_recovery() }),
        demanded: hall.console.settings.second_factor.demands(staff.role),
        sessions: listed(hall, user).await?,
        away,
        colleagues: fit.map(|one| (one.name.clone(), one.name == chosen)).collect(),
        days: [day(Duration::ZERO), day(LONGEST_AWAY), fields.trimmed("until").to_owned()],
        done: "",
        refused,
    })
}

/// Somebody's sessions that have not ended, this one first, then by use.
async fn alive(hall: &Hall, user: &StaffUser) -> Result<Vec<(TokenHash, Session)>, WebError> {
    let (now, mark) = (hall.now(), user.staff.mark());
    let mut sessions = hall.store().sessions_of(&user.staff.name).await?;
    sessions.retain(|(_, session)| session.mark == mark && !session.is_over(now));
    sessions.sort_by_key(|(token, session)| (*token != user.session, -session.used_at.0));
    Ok(sessions)
}

async fn listed(hall: &Hall, user: &StaffUser) -> Result<Vec<Seen>, WebError> {
    let now = hall.now();
    let seen = |(token, session): (TokenHash, Session)| Seen {
        id: name_of(&token),
        browser: session.browser,
        address: if session.address.is_loopback() { "本机".into() } else { session.address.to_string() },
        begun: words::dated(session.begun_at, now),
        used: match now.since(session.used_at) {
            span if span < Duration::from_secs(120) => "刚刚".into(),
            span => format!("{}前", words::span(span)),
        },
        this: token == user.session,
    };
    Ok(alive(hall, user).await?.into_iter().map(seen).collect())
}

/// Tells somebody's sessions apart on their own page; no way into any.
fn name_of(token: &TokenHash) -> String {
    token[..8].iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// Another password; the old one is needed.
pub(super) async fn change_password(
    State(hall): State<Arc<Hall>>,
    extensions: Extensions,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    let (fresh, salt) = (form.fields.get("fresh").to_owned(), random()?);
    let refused = |password: String| Refused { password, ..Refused::default() };
    if fresh != form.fields.get("again") {
        let why = refused("两次输入的新密码不一样。".into());
        return refuse(&hall, &form, StatusCode::UNPROCESSABLE_ENTITY, why).await;
    }
    if !is_own_password(&hall, &visitor(&extensions)?, &form.user, form.fields.get("password")).await? {
        let (staff, fresh) = (form.user.staff.clone(), fresh.clone());
        if hall.checker.run(move || staff.knows(&fresh)).await? {
            // Twice the same form: the first one did it.
            return Ok(Redirect::to("/console/account?done=password").into_response());
        }
        return refuse(&hall, &form, StatusCode::UNAUTHORIZED, refused("现在的密码不对。".into())).await;
    }
    if fresh == form.fields.get("password") {
        let why = refused("新密码和现在的一样。".into());
        return refuse(&hall, &form, StatusCode::UNPROCESSABLE_ENTITY, why).await;
    }
    let made = match hall.checker.run(move || NewPassword::new(&fresh, salt)).await? {
        Ok(made) => made,
        Err(unfit) => {
            let why = refused(format!("{unfit}。"));
            return refuse(&hall, &form, StatusCode::UNPROCESSABLE_ENTITY, why).await;
        }
    };
    let mark = form.user.staff.mark();
    let change = move |staff: &mut Staff| {
        let same = staff.mark() == mark;
        staff.set_password(made);
        same
    };
    let (name, goes_on) = (&form.user.staff.name, Some(form.user.session));
    if hall.store().change_staff(name, goes_on, Box::new(change)).await? != Changed::Done {
        return Err(WebError::Expired);
    }
    hall.audit(name, "改密码", name).await?;
    Ok(Redirect::to("/console/account?done=password").into_response())
}

/// Ends one of one's own sessions, or all but this.
pub(super) async fn end_sessions(
    State(hall): State<Arc<Hall>>,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = posted.open()?;
    let (name, which) = (&form.user.staff.name, form.fields.get("id"));
    if which == "others" {
        hall.store().end_sessions_of(name, Some(form.user.session)).await?;
        hall.audit(name, "结束其他登录", name).await?;
    } else {
        let mine = alive(&hall, &form.user).await?;
        // One that is not there any more has been ended already.
        if let Some((token, session)) = mine.iter().find(|(token, _)| name_of(token) == which) {
            hall.store().end_session(token).await?;
            let about = format!("{}，{}", session.browser, session.address);
            hall.audit(name, "结束一个登录", &about).await?;
        }
    }
    Ok(Redirect::to("/console/account?done=session").into_response())
}

/// Whether somebody can stand in for `whom`: works here, answers, is not away themselves.
fn stands_in(one: &Staff, whom: &str, now: Timestamp) -> bool {
    one.name != whom && one.role != Role::Viewer && one.away_at(now).is_none()
}

/// The last day of an absence, as people read it.
pub(super) fn last_day(away: &Away, now: Timestamp) -> String {
    words::day(Timestamp(away.until.0 - 1).date(), now.date())
}

/// Out of office, or back.
pub(super) async fn go_away(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    let (name, now) = (&form.user.staff.name, hall.now());
    if form.fields.get("act") == "back" {
        let back = |staff: &mut Staff| {
            staff.away = None;
            true
        };
        hall.store().change_staff(name, None, Box::new(back)).await?;
        hall.audit(name, "外出结束", name).await?;
        return Ok(Redirect::to("/console/account?done=back").into_response());
    }
    let away = match absence(&form.fields, now) {
        Ok(away) => away,
        Err(why) => {
            let refused = Refused { away: why.into(), ..Refused::default() };
            return refuse(&hall, &form, StatusCode::UNPROCESSABLE_ENTITY, refused).await;
        }
    };
    let deputy = hall.store().staff(&away.deputy).await?;
    if !deputy.is_some_and(|deputy| stands_in(&deputy, name, now)) {
        let away = "请选一位在岗的同事代理。".to_owned();
        let refused = Refused { away, ..Refused::default() };
        return refuse(&hall, &form, StatusCode::UNPROCESSABLE_ENTITY, refused).await;
    }
    let about = format!("到 {}，代理人 {}", last_day(&away, now), away.deputy);
    let go = move |staff: &mut Staff| {
        staff.away = Some(away);
        true
    };
    hall.store().change_staff(name, None, Box::new(go)).await?;
    hall.audit(name, "外出", &about).await?;
    Ok(Redirect::to("/console/account?done=away").into_response())
}

/// What the form says: away up to and with that day.
fn absence(fields: &Fields, now: Timestamp) -> Result<Away, &'static str> {
    let day: Date = fields.trimmed("until").parse().map_err(|_| "请选最后一天的日期。")?;
    let after = day.tomorrow().map_err(|_| "请选最后一天的日期。")?;
    let until = Timestamp::from_local(after.at(0, 0, 0, 0));
    if until <= now {
        return Err("最后一天不能早于今天。");
    }
    if day > now.after(LONGEST_AWAY).date() {
        return Err("外出最长 180 天。");
    }
    Ok(Away { until, deputy: fields.trimmed("deputy").to_owned() })
}
