//! Who works here: taking somebody on, changing what they may do, helping who lost a phone, letting somebody go; for
//! administrators. Knows the forms; what a fit name or password is decides `staff`, who is the last administrator the store.

use super::Hall;
use super::account_page::last_day;
use super::error::WebError;
use super::form::{Fields, Keyed, Posted, random};
use super::page::{Frame, query, render};
use super::session::StaffUser;
use crate::clock::Timestamp;
use crate::knowledge::Department;
use crate::staff::{MIN_PASSWORD, Role, Staff};
use crate::store::Changed;
use crate::words;
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "staff.html")]
struct StaffPage {
    frame: Frame,
    members: Vec<Member>,
    roles: Vec<RoleChoice>,
    departments: Vec<(&'static str, bool)>,
    name: String,
    refused: String,
    done: &'static str,
    /// Why somebody was not changed, or not let go.
    kept: &'static str,
    min: usize,
}

struct RoleChoice {
    name: &'static str,
    duty: &'static str,
    chosen: bool,
}

struct Member {
    name: String,
    role: &'static str,
    admin: bool,
    department: &'static str,
    me: bool,
    factor: bool,
    /// They need a second factor and have none.
    factor_missing: bool,
    last_login: String,
    /// Until when they are out of office, and who stands in.
    away: Option<(String, String)>,
    roles: Vec<RoleChoice>,
    departments: Vec<(&'static str, bool)>,
}

#[derive(Deserialize, Default)]
struct Asked {
    added: Option<String>,
    removed: Option<String>,
    changed: Option<String>,
    reset: Option<String>,
}

const ADMINS_ONLY: WebError = WebError::Forbidden("人员管理只有管理员能用。需要增减人员，请找管理员。");

/// The list and the form.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    if !user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    let mut page = page(&hall, &user, &Fields::default(), String::new()).await?;
    page.done = match query(&uri) {
        Asked { added: Some(_), .. } => "已添加。请把初始密码当面交给本人。",
        Asked { removed: Some(_), .. } => "已移除。",
        Asked { changed: Some(_), .. } => "已修改，马上生效。",
        Asked { reset: Some(_), .. } => "第二验证已清除，本人的登录都已结束。请本人用密码登录后重新设置。",
        _ => "",
    };
    render(StatusCode::OK, &page)
}

async fn page(
    hall: &Hall,
    user: &StaffUser,
    fields: &Fields,
    refused: String,
) -> Result<StaffPage, WebError> {
    let (all, now) = (hall.store().all_staff().await?, hall.now());
    Ok(StaffPage {
        frame: Frame::of("人员", "staff", user, &hall.keys)?,
        members: all.iter().map(|staff| member(hall, user, staff, now)).collect(),
        roles: roles(Role::parse(fields.get("role"))),
        departments: departments(Department::by_name(fields.get("department"))),
        name: fields.trimmed("name").to_owned(),
        refused,
        done: "",
        kept: "",
        min: MIN_PASSWORD,
    })
}

fn roles(chosen: Option<Role>) -> Vec<RoleChoice> {
    let choice =
        |role: Role| RoleChoice { name: role.name(), duty: role.duty(), chosen: Some(role) == chosen };
    Role::ALL.map(choice).into()
}

fn departments(chosen: Option<Department>) -> Vec<(&'static str, bool)> {
    Department::ALL.map(|one| (one.name(), Some(one) == chosen)).into()
}

fn member(hall: &Hall, user: &StaffUser, staff: &Staff, now: Timestamp) -> Member {
    let factor = staff.second_factor.is_some();
    Member {
        name: staff.name.clone(),
        role: staff.role.name(),
        admin: staff.is_admin(),
        department: staff.department.map_or("不分部门", Department::name),
        me: staff.name == user.staff.name,
        factor,
        factor_missing: !factor && hall.console.settings.second_factor.demands(staff.role),
        last_login: staff.last_login.map_or_else(|| "没登录过".into(), |at| words::dated(at, now)),
        away: staff.away_at(now).map(|away| (last_day(away, now), away.deputy.clone())),
        roles: roles(Some(staff.role)),
        departments: departments(staff.department),
    }
}

/// A form of an administrator's.
fn opened(posted: Posted) -> Result<Keyed, WebError> {
    let form = posted.open()?;
    if form.user.is_admin() { Ok(form) } else { Err(ADMINS_ONLY) }
}

async fn keep(hall: &Hall, form: &Keyed, why: &'static str) -> Result<Response, WebError> {
    let mut page = page(hall, &form.user, &Fields::default(), String::new()).await?;
    page.kept = why;
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

const NOBODY: &str = "这位人员已被移除。";

/// The form comes back.
pub(super) async fn submit(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = opened(posted)?;
    match take_on(&hall, &form.fields).await? {
        Ok(name) => {
            hall.audit(&form.user.staff.name, "添加人员", &name).await?;
            Ok(Redirect::to("/console/staff?added=1").into_response())
        }
        Err(refused) => {
            let page = page(&hall, &form.user, &form.fields, refused).await?;
            render(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// Somebody's role and department change, at once: every request looks them up.
pub(super) async fn change(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = opened(posted)?;
    let name = form.fields.trimmed("name");
    let Some(role) = Role::parse(form.fields.get("role")) else { return Err(WebError::BadForm) };
    let department = Department::by_name(form.fields.get("department"));
    let change = move |staff: &mut Staff| {
        (staff.role, staff.department) = (role, department);
        true
    };
    match hall.store().change_staff(name, None, Box::new(change)).await? {
        Changed::Done => {}
        Changed::LastAdmin => {
            let why = "这是最后一位管理员，不能改成别的角色。请先让另一位同事当管理员。";
            return keep(&hall, &form, why).await;
        }
        Changed::Nobody | Changed::Unfit => return keep(&hall, &form, NOBODY).await,
    }
    let about = format!("{name}：{}，{}", role.name(), department.map_or("不分部门", Department::name));
    hall.audit(&form.user.staff.name, "改角色或部门", &about).await?;
    // Who is no administrator any more has no business here.
    let mine = name == form.user.staff.name && role != Role::Admin;
    Ok(Redirect::to(if mine { "/console" } else { "/console/staff?changed=1" }).into_response())
}

/// Somebody has lost their phone: they begin anew with their password.
pub(super) async fn reset_factor(
    State(hall): State<Arc<Hall>>,
    posted: Posted,
) -> Result<Response, WebError> {
    let form = opened(posted)?;
    let name = form.fields.trimmed("name");
    if name == form.user.staff.name {
        return keep(&hall, &form, "自己的第二验证，请在“我的账号”里更换。").await;
    }
    let reset = |staff: &mut Staff| staff.second_factor.take().is_some();
    match hall.store().change_staff(name, None, Box::new(reset)).await? {
        // Twice the same form: the first one did it.
        Changed::Done | Changed::Unfit => {}
        Changed::Nobody | Changed::LastAdmin => return keep(&hall, &form, NOBODY).await,
    }
    hall.audit(&form.user.staff.name, "清除第二验证", name).await?;
    Ok(Redirect::to("/console/staff?reset=1").into_response())
}

/// Somebody is let go: their sessions end at once, what they wrote stays. Nobody lets themselves go. Two administrators who
/// let each other go in the same moment may leave none: the next start prints the link that makes the first one.
pub(super) async fn remove(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = opened(posted)?;
    let name = form.fields.trimmed("name");
    if name == form.user.staff.name {
        return keep(&hall, &form, "不能移除自己。请让另一位管理员来做。").await;
    }
    // Twice the same form: the first one did it.
    if hall.store().remove_staff(name).await? {
        hall.store().end_sessions_of(name, None).await?;
        hall.audit(&form.user.staff.name, "移除人员", name).await?;
    }
    Ok(Redirect::to("/console/staff?removed=1").into_response())
}

async fn take_on(hall: &Hall, fields: &Fields) -> Result<Result<String, String>, WebError> {
    let Some(role) = Role::parse(fields.get("role")) else { return Err(WebError::BadForm) };
    let department = Department::by_name(fields.get("department"));
    let name = fields.trimmed("name").to_owned();
    if let Some(there) = hall.store().staff(&name).await? {
        // The same form twice: the first one took them on.
        let password = fields.get("password").to_owned();
        let (is_same, known) = ((there.role, there.department) == (role, department), there.clone());
        if is_same && hall.checker.run(move || known.knows(&password)).await? {
            return Ok(Ok(name));
        }
        return Ok(Err(format!("已经有叫“{name}”的人员，请换一个写法，例如加上部门。")));
    }
    let (password, salt) = (fields.get("password").to_owned(), random()?);
    let made = hall.checker.run(move || Staff::new(&name, role, department, &password, salt)).await?;
    let staff = match made {
        Ok(staff) => staff,
        Err(unfit) => return Ok(Err(format!("{unfit}。"))),
    };
    hall.store().put_staff(&staff, false).await?;
    Ok(Ok(staff.name))
}
