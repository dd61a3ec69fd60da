//! An entry as the follower reads it, with what an editor knows of it. Read only.

use super::Hall;
use super::error::WebError;
use super::page::{Frame, render};
use super::session::StaffUser;
use crate::knowledge::{Entry, EntryId, Validity, zh_date};
use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::civil::Date;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "knowledge.html")]
struct KnowledgePage {
    frame: Frame,
    title: String,
    category: &'static str,
    answer: String,
    in_force: bool,
    facts: Vec<(&'static str, String)>,
    sources: Vec<String>,
    questions: Vec<String>,
}

/// The page of an entry.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, WebError> {
    let Path(id) = path.map_err(|_| WebError::NotFound)?;
    let handbook = hall.console.desk.handbook();
    let entry = handbook.knowledge.entry(&EntryId::new(&id)).ok_or(WebError::NotFound)?;
    let on = hall.now().date();
    let (answer, successor) = handbook.knowledge.answer(entry, on, None);
    let page = KnowledgePage {
        frame: Frame::of(entry.title.clone(), "", &user, &hall.keys)?,
        title: entry.title.clone(),
        category: entry.category.name(),
        answer: answer.to_string(),
        in_force: entry.validity(on) == Validity::Current,
        facts: facts(entry, on, successor.map(|entry| &**entry)),
        sources: entry.sources.clone(),
        questions: entry.questions.iter().take(8).cloned().collect(),
    };
    render(StatusCode::OK, &page)
}

fn facts(entry: &Entry, on: Date, successor: Option<&Entry>) -> Vec<(&'static str, String)> {
    let validity = match (entry.validity(on), entry.effective, entry.expires) {
        (Validity::Expired(last), ..) => format!("已失效，有效期到{}", zh_date(last)),
        (Validity::Ended(how), ..) => how,
        (Validity::NotYet(first), ..) => format!("尚未施行，{}起", zh_date(first)),
        (Validity::Current, _, Some(last)) => format!("有效，到{}", zh_date(last)),
        (Validity::Current, Some(first), None) => format!("有效，{}起施行", zh_date(first)),
        (Validity::Current, None, None) => "有效".into(),
    };
    let mut facts = vec![("效力", validity)];
    facts.extend(successor.map(|entry| ("已由它接替", entry.title.clone())));
    facts.push(("核对", zh_date(entry.reviewed)));
    facts.extend(entry.recheck.map(|day| {
        let due = if day <= on { "已到期，数字请先核实" } else { "之前有效" };
        ("复核", format!("{}，{due}", zh_date(day)))
    }));
    facts.push(("适用地区", entry.region.name().to_owned()));
    facts.extend(entry.issuer.clone().map(|issuer| ("发文机关", issuer)));
    facts.extend(entry.document_number.clone().map(|number| ("文号", number)));
    facts.push(("负责部门", entry.department.name().to_owned()));
    facts
}
