//! How service and account stand, for administrators: what was found and what to do. Knows how it looks; what is looked at
//! and how it is judged is `doctor`'s.

use super::Hall;
use super::error::WebError;
use super::form::Posted;
use super::page::{Frame, render};
use super::session::StaffUser;
use crate::doctor::{Finding, Level};
use crate::words;
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "doctor.html")]
struct DoctorPage {
    frame: Frame,
    at: String,
    /// How the whole is coloured.
    tone: &'static str,
    summary: String,
    rows: Vec<Row>,
}

struct Row {
    name: &'static str,
    level: &'static str,
    tone: &'static str,
    found: String,
    todo: String,
}

const ADMINS_ONLY: WebError = WebError::Forbidden("诊断只有管理员能用。服务有问题，请告诉管理员。");

/// The last findings, or new ones where those are old.
pub(super) async fn show(State(hall): State<Arc<Hall>>, user: StaffUser) -> Result<Response, WebError> {
    if !user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    let report = hall.console.doctor.latest().await;
    let page = DoctorPage {
        frame: Frame::of("诊断", "doctor", &user, &hall.keys)?,
        at: words::dated(report.at, hall.now()),
        tone: if report.is_good() { "good" } else { "late" },
        summary: report.summary(),
        rows: report.findings.into_iter().map(row).collect(),
    };
    render(StatusCode::OK, &page)
}

/// The button was pressed: looks anew.
pub(super) async fn again(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    if !form.user.is_admin() {
        return Err(ADMINS_ONLY);
    }
    hall.console.doctor.examine().await;
    Ok(Redirect::to("/console/doctor").into_response())
}

fn row(finding: Finding) -> Row {
    let tone = match finding.level {
        Level::Pass => "good",
        Level::Warn => "soon",
        Level::Fail => "late",
        Level::Skipped => "",
    };
    Row {
        name: finding.check.name(),
        level: finding.level.name(),
        tone,
        found: finding.found,
        todo: finding.todo,
    }
}
