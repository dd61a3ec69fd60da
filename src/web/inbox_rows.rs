//! The rows of the inbox: what somebody sees of a ticket without opening it. Personal numbers are masked here. Knows what a
//! row shows; nothing of lists.

use super::Hall;
use super::error::WebError;
use super::session::StaffUser;
use super::words::{Badge, deadline, number_in_path, stage_class, waited, window};
use crate::clock::Timestamp;
use crate::conversation::Memory;
use crate::desk::Handbook;
use crate::knowledge::shorten;
use crate::live::Other;
use crate::mask::mask;
use crate::store::{Draft, Page};
use crate::ticket::{Author, Line, Origin, Ticket};

/// Of the last word so many characters are shown.
const NEWS: usize = 60;
/// Of a draft.
const DRAFT: usize = 30;

/// A row.
pub(super) struct Row {
    pub href: String,
    /// The ticket in a form.
    pub path: String,
    pub number: String,
    pub category: &'static str,
    pub department: &'static str,
    pub subject: String,
    pub stage: &'static str,
    pub stage_class: &'static str,
    pub waited: String,
    pub badge: Badge,
    /// What may still be sent to the follower, while the office owes them something.
    pub window: Option<Badge>,
    pub assignee: String,
    pub mine: bool,
    /// Who asks, as far as it is known.
    pub who: String,
    /// Came by telephone or at the counter.
    pub origin: &'static str,
    /// Confidential, for a lead, asked for more time.
    pub flags: Vec<&'static str>,
    pub labels: Vec<String>,
    /// A colleague has called who looks at it.
    pub called: bool,
    /// The follower's last word, where it is the ticket's last, too.
    pub news: Option<String>,
    pub draft: Option<String>,
    pub others: Vec<Other>,
}

/// The rows of a page.
pub(super) async fn rows(
    hall: &Hall,
    user: &StaffUser,
    page: &Page,
    list: &str,
) -> Result<Vec<Row>, WebError> {
    let handbook = hall.console.desk.handbook();
    let mut rows = Vec::new();
    for ticket in &page.tickets {
        let last = match ticket.n_lines.checked_sub(1) {
            Some(n) => hall.store().line(ticket.id, n).await?,
            None => None,
        };
        let memory = hall.store().recall(ticket.follower).await?;
        let draft = hall.store().draft(&user.staff.name, ticket.id).await?;
        rows.extend(row(hall, ticket, (last.as_ref(), &memory, draft), user, &handbook, list));
    }
    Ok(rows)
}

/// Who asks: what staff call them, their enterprise and building.
pub(super) fn who(memory: &Memory) -> String {
    let profile = &memory.profile;
    let parts = [&profile.alias, &profile.enterprise, &profile.building];
    let known: Vec<&str> = parts.into_iter().flatten().map(|part| &**part).collect();
    mask(&known.join(" · ")).into_owned()
}

fn row(
    hall: &Hall,
    ticket: &Ticket,
    (last, memory, draft): (Option<&Line>, &Memory, Option<Draft>),
    user: &StaffUser,
    handbook: &Handbook,
    list: &str,
) -> Option<Row> {
    let (number, now) = (ticket.number?, hall.now());
    // The question somebody wrote down for a caller is the subject already.
    let is_news = !ticket.stage.is_over() && (ticket.origin == Origin::Wechat || ticket.n_lines > 2);
    let by_follower = last.filter(|line| line.author == Author::Follower && is_news);
    let owes = hall.console.desk.settings().customer_service
        && ticket.stage.is_open()
        && ticket.origin == Origin::Wechat;
    let path = number_in_path(number);
    let from = list.strip_prefix("/console?").map(encoded).unwrap_or_default();
    Some(Row {
        href: format!("/console/tickets/{path}{from}"),
        number: number.to_string(),
        category: ticket.category.name(),
        department: ticket.department.name(),
        subject: mask(&ticket.subject).into_owned(),
        stage: ticket.stage.name(),
        stage_class: stage_class(ticket.stage),
        waited: waited(ticket, now),
        badge: deadline(ticket, now, &handbook.calendar),
        window: owes.then(|| window(&memory.window, now)),
        mine: ticket.assignee.as_ref() == Some(&user.staff.name),
        assignee: ticket.assignee.clone().unwrap_or_default(),
        who: who(memory),
        origin: if ticket.origin == Origin::Wechat { "" } else { ticket.origin.name() },
        flags: flags(ticket, now),
        labels: ticket.labels.iter().map(|label| label.to_string()).collect(),
        called: ticket.mentioned.contains(&user.staff.name),
        news: by_follower.map(|line| shorten(&mask(&line.text), NEWS)),
        draft: draft.filter(|draft| !draft.is_empty()).map(|draft| drafted(&draft)),
        others: hall.console.desk.live().others(ticket.id, &user.staff.name, now),
        path,
    })
}

fn drafted(draft: &Draft) -> String {
    let words = if draft.text.trim().is_empty() { &draft.note } else { &draft.text };
    shorten(&mask(words.trim()), DRAFT).replace('\n', " ")
}

fn flags(ticket: &Ticket, now: Timestamp) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if ticket.is_confidential {
        flags.push("保密");
    }
    if let Some(for_lead) = ticket.for_lead.filter(|_| !ticket.stage.is_over()) {
        flags.push(for_lead.name());
    }
    if ticket.extension.is_some() {
        flags.push("申请延期");
    }
    if ticket.snoozed_until.is_some_and(|until| until <= now) && ticket.stage.is_open() {
        flags.push("挂起到期");
    }
    flags
}

/// The list a ticket is opened from goes along, so that the next one can be found.
fn encoded(list: &str) -> String {
    let list: String = form_urlencoded::byte_serialize(list.as_bytes()).collect();
    format!("?list={list}")
}
