//! Somebody calls or comes by (来电来访): staff write the question down, and it is a ticket like any other. Knows the form.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted};
use super::page::{Frame, render};
use super::session::StaffUser;
use super::ticket_acts::{profile, sentence};
use super::words::number_in_path;
use crate::access;
use crate::conversation::Intake;
use crate::knowledge::{Category, Department};
use crate::ticket::Origin;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "intake.html")]
struct IntakePage {
    frame: Frame,
    departments: Vec<(&'static str, bool)>,
    categories: Vec<(&'static str, bool)>,
    fields: Shown,
    refused: String,
}

/// What was written, when the form comes back.
#[derive(Default)]
struct Shown {
    walk_in: bool,
    alias: String,
    phone: String,
    enterprise: String,
    building: String,
    question: String,
    confidential: bool,
}

const VIEWERS: WebError = WebError::Forbidden("您的账号是只读的，不能登记。");

fn page(hall: &Hall, user: &StaffUser, fields: &Fields, refused: String) -> Result<IntakePage, WebError> {
    let text = |name: &str| fields.get(name).to_owned();
    let (department, category) = (text("department"), text("category"));
    Ok(IntakePage {
        frame: Frame::of("登记来电来访", "intake", user, &hall.keys)?,
        departments: Department::ALL.map(|one| (one.name(), one.name() == department)).to_vec(),
        categories: Category::ALL.map(|one| (one.name(), one.name() == category)).to_vec(),
        fields: Shown {
            walk_in: fields.get("origin") == "walkin",
            alias: text("alias"),
            phone: text("phone"),
            enterprise: text("enterprise"),
            building: text("building"),
            question: text("question").replace("\r\n", "\n"),
            confidential: fields.get("confidential") == "1",
        },
        refused,
    })
}

/// The form.
pub(super) async fn show(State(hall): State<Arc<Hall>>, user: StaffUser) -> Result<Response, WebError> {
    if !access::may_work(&user.staff) {
        return Err(VIEWERS);
    }
    render(StatusCode::OK, &page(&hall, &user, &Fields::default(), String::new())?)
}

/// The form comes back.
pub(super) async fn submit(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = match posted.open() {
        Ok(form) => form,
        Err(stale) => {
            let refused = "页面打开得太久，还没有登记。请核对后再按一次。".to_owned();
            return render(StatusCode::CONFLICT, &page(&hall, &stale.user, &stale.fields, refused)?);
        }
    };
    let (user, fields) = (&form.user, &form.fields);
    if !access::may_work(&user.staff) {
        return Err(VIEWERS);
    }
    let intake = Intake {
        by: user.staff.name.clone(),
        origin: if fields.get("origin") == "walkin" { Origin::WalkIn } else { Origin::Phone },
        profile: profile(fields),
        question: fields.get("question").to_owned(),
        department: Department::by_name(fields.get("department")),
        category: Category::ALL.into_iter().find(|one| one.name() == fields.get("category")),
        is_confidential: fields.get("confidential") == "1",
    };
    match hall.console.desk.lodge(&form.key, intake).await? {
        Ok(id) => {
            let ticket = hall.store().ticket(id).await?.ok_or(WebError::NotFound)?;
            let path = ticket.number.map(number_in_path).unwrap_or_default();
            Ok(Redirect::to(&format!("/console/tickets/{path}?done=lodged")).into_response())
        }
        Err(refusal) => {
            let (status, why) = sentence(&refusal, "lodge", "");
            render(status, &page(&hall, user, fields, why)?)
        }
    }
}
