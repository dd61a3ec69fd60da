//! Who works here, taking somebody on and letting somebody go; for administrators. Knows the forms; what a fit name or
//! password is decides `staff`.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted, random};
use super::page::{Frame, query, render};
use super::session::StaffUser;
use crate::knowledge::Department;
use crate::staff::{MIN_PASSWORD, Role, Staff};
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
    departments: Vec<(&'static str, bool)>,
    name: String,
    is_admin: bool,
    refused: String,
    done: &'static str,
    /// Why somebody was not let go.
    kept: &'static str,
    min: usize,
}

struct Member {
    name: String,
    role: &'static str,
    admin: bool,
    department: &'static str,
    me: bool,
}

#[derive(Deserialize, Default)]
struct Asked {
    added: Option<String>,
    removed: Option<String>,
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
    let asked: Asked = query(&uri);
    page.done = match (asked.added, asked.removed) {
        (Some(_), _) => "已添加。请把初始密码当面交给本人。",
        (_, Some(_)) => "已移除。",
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
    let member = |staff: Staff| Member {
        role: staff.role.name(),
        admin: staff.is_admin(),
        department: staff.department.map_or("—", Department::name),
        me: staff.name == user.staff.name,
        name: staff.name,
    };
    Ok(StaffPage {
        frame: Frame::of("人员", "staff", user, &hall.keys)?,
        members: hall.store().all_staff().await?.into_iter().map(member).collect(),
        departments: Department::ALL.map(|one| (one.name(), one.name() == fields.get("department"))).to_vec(),
        name: fields.trimmed("name").to_owned(),
        is_admin: Role::parse(fields.get("role")) == Some(Role::Admin),
        refused,
        done: "",
        kept: "",
        min: MIN_PASSWORD,
    })
}

/// The form comes back.
pub(super) async fn submit(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    if !form.user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    match take_on(&hall, &form.fields).await? {
        Ok(name) => {
            tracing::info!(by = form.user.staff.name, name, "a member of staff was taken on");
            Ok(Redirect::to("/console/staff?added=1").into_response())
        }
        Err(refused) => {
            let page = page(&hall, &form.user, &form.fields, refused).await?;
            render(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

/// Somebody is let go: their sessions end at once, what they wrote stays. Nobody lets themselves go. Two administrators who
/// let each other go in the same moment may leave none: the next start prints the link that makes the first one.
pub(super) async fn remove(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    if !form.user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    let name = form.fields.trimmed("name");
    if name == form.user.staff.name {
        let mut page = page(&hall, &form.user, &Fields::default(), String::new()).await?;
        page.kept = "不能移除自己。请让另一位管理员来做。";
        return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    // Twice the same form: the first one did it.
    if hall.store().remove_staff(name).await? {
        tracing::info!(by = form.user.staff.name, name, "a member of staff was removed");
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
