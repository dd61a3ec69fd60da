//! The list of tickets: three shelves, by department, the most urgent first. Knows what a row shows; the order is the
//! store's.

use super::Hall;
use super::error::WebError;
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::words::{Badge, deadline, number_in_path, stage_class, waited, window};
use crate::clock::Timestamp;
use crate::desk::Handbook;
use crate::knowledge::{Department, shorten};
use crate::store::{Page, Query, Shelf};
use crate::ticket::{Author, Line, Ticket};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use std::fmt::Write;
use std::sync::Arc;

/// Tickets on a page.
const PAGE: usize = 40;
/// Of a follower's last word so many characters are shown.
const NEWS: usize = 60;
/// Counted no further than this.
const MOST: usize = 1_000;
/// A cursor in an address is no longer than this.
const MAX_CURSOR: usize = 128;

#[derive(Template)]
#[template(path = "queue.html")]
struct QueuePage {
    frame: Frame,
    live: QueueLive,
}

/// The part of the page that is fetched again and again.
#[derive(Template)]
#[template(path = "queue_live.html")]
struct QueueLive {
    title: String,
    notices: Vec<String>,
    tabs: Vec<Tab>,
    /// What stands over the badges.
    about: &'static str,
    departments: Vec<Tab>,
    rows: Vec<Row>,
    first: String,
    next: String,
    empty: [&'static str; 2],
}

struct Tab {
    name: &'static str,
    count: String,
    href: String,
    here: bool,
}

struct Row {
    href: String,
    number: String,
    category: &'static str,
    department: &'static str,
    subject: Arc<str>,
    stage: &'static str,
    stage_class: &'static str,
    waited: String,
    badge: Badge,
    /// What may still be sent to the follower, while the office owes them something.
    window: Option<Badge>,
    assignee: String,
    mine: bool,
    /// The follower's last word, where it is the ticket's last, too.
    news: Option<String>,
}

#[derive(Deserialize, Default)]
struct Asked {
    #[serde(default)]
    shelf: String,
    #[serde(default)]
    dept: String,
    #[serde(default)]
    after: String,
    #[serde(default)]
    fragment: String,
}

const SHELVES: [(Shelf, &str, &str); 3] =
    [(Shelf::Open, "open", "待办"), (Shelf::Answered, "answered", "已答复"), (Shelf::Done, "done", "已办结")];

/// A department in an address.
fn slug(department: Department) -> &'static str {
    match department {
        Department::Union => "union",
        Department::Economy => "economy",
        Department::Finance => "finance",
        Department::Desk => "desk",
    }
}

fn address(shelf: &str, department: Option<Department>, after: &str) -> String {
    let mut parts = Vec::new();
    if shelf != "open" {
        parts.push(format!("shelf={shelf}"));
    }
    parts.extend(department.map(|department| format!("dept={}", slug(department))));
    if !after.is_empty() {
        parts.push(format!("after={after}"));
    }
    if parts.is_empty() { "/console".into() } else { format!("/console?{}", parts.join("&")) }
}

/// The list.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: Asked = query(&uri);
    let live = live(&hall, &user, &asked).await?;
    if asked.fragment == "1" {
        return render(StatusCode::OK, &live);
    }
    let frame = Frame::of(live.title.clone(), "queue", &user, &hall.keys)?;
    render(StatusCode::OK, &QueuePage { frame, live })
}

async fn live(hall: &Hall, user: &StaffUser, asked: &Asked) -> Result<QueueLive, WebError> {
    let chosen = SHELVES.into_iter().find(|(_, slug, _)| *slug == asked.shelf).unwrap_or(SHELVES[0]);
    let (shelf, shelf_slug, _) = chosen;
    let department = Department::ALL.into_iter().find(|department| slug(*department) == asked.dept);
    let after = from_hex(&asked.after);
    let is_first = after.is_none();
    let page = hall.store().tickets(&Query { shelf, department, after, limit: PAGE }).await?;

    let mut tabs = Vec::new();
    for (other, slug, name) in SHELVES {
        let n = hall.store().count(other, MOST).await?;
        let count = if n >= MOST { "999+".into() } else { n.to_string() };
        tabs.push(Tab { name, count, href: address(slug, department, ""), here: other == shelf });
    }
    let all = Tab {
        name: "全部",
        count: String::new(),
        href: address(shelf_slug, None, ""),
        here: department.is_none(),
    };
    let departments = std::iter::once(all).chain(Department::ALL.into_iter().map(|one| Tab {
        name: one.name(),
        count: String::new(),
        href: address(shelf_slug, Some(one), ""),
        here: department == Some(one),
    }));
    let title =
        tabs.iter().find(|tab| tab.here).map(|tab| format!("{} {}", tab.name, tab.count)).unwrap_or_default();
    Ok(QueueLive {
        title,
        notices: hall.console.notices.all(),
        about: if shelf == Shelf::Open { "答复期限" } else { "评价" },
        departments: departments.collect(),
        rows: rows(hall, user, &page).await?,
        first: if is_first { String::new() } else { address(shelf_slug, department, "") },
        next: page
            .next
            .as_deref()
            .map(|next| address(shelf_slug, department, &hex(next)))
            .unwrap_or_default(),
        empty: empty(shelf, department.is_some(), page.next.is_some(), is_first),
        tabs,
    })
}

/// What stands in the place of rows where there are none: in short, and what that means.
fn empty(shelf: Shelf, filtered: bool, more: bool, is_first: bool) -> [&'static str; 2] {
    match (shelf, filtered) {
        _ if more => ["这一段里没有这个部门的单子", "请接着往后看。"],
        _ if !is_first => ["后面没有了", ""],
        (Shelf::Open, true) => ["这个部门没有待办的咨询单", ""],
        (Shelf::Answered, true) => ["这个部门没有等待评价的单子", ""],
        (Shelf::Done, true) => ["这个部门还没有办结的单子", ""],
        (Shelf::Open, false) => ["没有待办的咨询单", "用户要求人工，或者机器人答不上来时，会出现在这里。"],
        (Shelf::Answered, false) => {
            ["没有等待评价的单子", "答复过的单子会放在这里，七天里没有追问就自动办结。"]
        }
        (Shelf::Done, false) => ["还没有办结的单子", "用户评价过、办结了的单子会放在这里。"],
    }
}

async fn rows(hall: &Hall, user: &StaffUser, page: &Page) -> Result<Vec<Row>, WebError> {
    let handbook = hall.console.desk.handbook();
    let now = hall.now();
    let mut rows = Vec::new();
    for ticket in &page.tickets {
        let last = match ticket.n_lines.checked_sub(1) {
            Some(n) if ticket.stage.is_open() => hall.store().line(ticket.id, n).await?,
            _ => None,
        };
        let owes = hall.console.desk.settings().customer_service && ticket.stage.is_open();
        let window = match owes {
            true => Some(window(&hall.store().recall(ticket.follower).await?.window, now)),
            false => None,
        };
        rows.extend(row(ticket, (last.as_ref(), window), user, now, &handbook));
    }
    Ok(rows)
}

fn row(
    ticket: &Ticket,
    (last, window): (Option<&Line>, Option<Badge>),
    user: &StaffUser,
    now: Timestamp,
    handbook: &Handbook,
) -> Option<Row> {
    let number = ticket.number?;
    let by_follower = last.filter(|line| line.author == Author::Follower);
    Some(Row {
        href: format!("/console/tickets/{}", number_in_path(number)),
        number: number.to_string(),
        category: ticket.category.name(),
        department: ticket.department.name(),
        subject: ticket.subject.clone(),
        stage: ticket.stage.name(),
        stage_class: stage_class(ticket.stage),
        waited: waited(ticket, by_follower.map(|line| line.at), now),
        badge: deadline(ticket, now, &handbook.calendar),
        window,
        mine: ticket.assignee.as_ref() == Some(&user.staff.name),
        assignee: ticket.assignee.clone().unwrap_or_default(),
        news: by_follower.map(|line| shorten(&line.text, NEWS)),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let fits =
        !text.is_empty() && text.len() <= MAX_CURSOR && text.len().is_multiple_of(2) && text.is_ascii();
    if !fits {
        return None;
    }
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_address() {
        assert_eq!(from_hex(&hex(&[0, 7, 255])), Some(vec![0, 7, 255]));
        for bad in ["", "0", "zz", "字字"] {
            assert_eq!(from_hex(bad), None);
        }
        assert_eq!(
            address("done", Some(Department::Economy), "00ff"),
            "/console?shelf=done&dept=economy&after=00ff"
        );
        assert_eq!(address("open", None, ""), "/console");
    }
}
