//! Several tickets at once: assigned, labelled, closed. Each is an act of its own, allowed and refused by itself; the page says
//! which were not done and why.

use super::Hall;
use super::error::WebError;
use super::form::{Fields, Posted};
use super::inbox::{self, Asked};
use super::page::query;
use super::ticket_acts::{asked, sentence};
use super::words::number_from_path;
use crate::access;
use crate::conversation::{Act, StaffAct};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// So many at once: a page.
const MAX: usize = 100;

/// The buttons over the list.
pub(super) async fn submit(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    let (fields, user) = (&form.fields, &form.user);
    let here = fields.get("here").parse().unwrap_or_default();
    let list: Asked = query(&here);
    let name = fields.get("act");
    if !["assign", "label", "close", "claim"].contains(&name) {
        return Err(WebError::BadForm);
    }
    let sight = hall.sight(user).await?;
    let (mut n_done, mut kept) = (0, Vec::new());
    let paths: Vec<&str> = fields.all("t").take(MAX).collect();
    for path in &paths {
        let number = number_from_path(path).ok_or(WebError::BadForm)?;
        let found = hall.store().numbered(number).await?.filter(|ticket| sight.sees(ticket));
        let Some(ticket) = found else {
            kept.push(format!("{number}：没有这张单子，或者您看不到它。"));
            continue;
        };
        let act = match of_each(&hall, &sight, name, fields, &ticket).await? {
            Ok(act) => act,
            Err(why) => {
                kept.push(format!("{number}：{why}"));
                continue;
            }
        };
        if let Err(why) = access::may(&user.staff, &sight, &ticket, &act) {
            kept.push(format!("{number}：{why}"));
            continue;
        }
        let is_lead = access::is_lead(&user.staff, &ticket);
        let by = user.staff.name.clone();
        let act = StaffAct { ticket: ticket.id, by, is_lead, seen: ticket.n_lines, act };
        match hall.console.desk.act(&format!("{} {path} {name}", form.key), act).await? {
            Ok(()) => n_done += 1,
            Err(refusal) => kept.push(format!("{number}：{}", sentence(&refusal, name, "").1)),
        }
    }
    let done = match (paths.is_empty(), n_done) {
        (true, _) => "没有选中单子。请先在左边打勾。".to_owned(),
        (false, n) => format!("处理了 {n} 张。"),
    };
    let status = if kept.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
    inbox::page(&hall, user, list, (status, done, kept)).await
}

/// The act for one of them. Labels are added to those it has.
async fn of_each(
    hall: &Hall,
    sight: &access::Sight,
    name: &str,
    fields: &Fields,
    ticket: &crate::ticket::Ticket,
) -> Result<Result<Act, String>, WebError> {
    let act = asked(hall, sight, name, fields).await?;
    Ok(act.map(|act| match act {
        Act::Label(labels) => {
            let before = ticket.labels.iter().map(|label| label.to_string());
            Act::Label(before.chain(labels).collect())
        }
        Act::Close(_) => Act::Close(None),
        // Of several at once only those are taken that nobody has.
        Act::Claim(_) => Act::Claim(None),
        other => other,
    }))
}
