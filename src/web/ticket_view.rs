//! How a ticket reads in the console: its head, its lines as bubbles with what became of each message, what the bot
//! had considered. Knows wording; changes nothing.

use super::Hall;
use super::error::WebError;
use super::words::{self, Badge};
use crate::clock::Timestamp;
use crate::conversation::{RungResult, Settlement};
use crate::desk::Handbook;
use crate::store::Delivery;
use crate::ticket::{Author, Considered, Enclosure, Line, Ticket};
use askama::Template;
use std::sync::Arc;

/// The part of the page that is fetched again and again: head and thread.
#[derive(Template)]
#[template(path = "ticket_live.html")]
pub(super) struct TicketLive {
    /// Of the window.
    pub title: String,
    number: String,
    subject: Arc<str>,
    stage: &'static str,
    stage_class: &'static str,
    badge: Badge,
    category: &'static str,
    department: &'static str,
    opened: String,
    due: String,
    contact: Option<Arc<str>>,
    assignee: Option<String>,
    /// What may still be sent to the follower; `None` where the account cannot send by itself.
    window: Option<Badge>,
    /// How the follower came.
    scene: Option<String>,
    bubbles: Vec<Bubble>,
    n_fresh: usize,
}

struct Bubble {
    /// `follower`, `bot`, `staff` or `system`.
    side: &'static str,
    who: String,
    at: String,
    text: Arc<str>,
    /// The first line of a text that is folded.
    fold: Option<String>,
    /// Set where a new day begins.
    day: Option<String>,
    /// It came after the page was opened.
    fresh: bool,
    /// It is the first such.
    first_fresh: bool,
    fate: Option<Fate>,
    file: Option<File>,
    n: usize,
}

/// The file that came or went with a line.
struct File {
    href: String,
    name: Arc<str>,
    is_picture: bool,
    /// Why it cannot be had.
    lost: Option<String>,
}

struct Fate {
    /// `good`, `soon`, `late` or `quiet`.
    class: &'static str,
    text: String,
    /// It is on its way; the page looks again soon.
    going: bool,
}

/// An entry the bot had considered.
pub(super) struct Thought {
    /// Its title; its name, if it is no longer there.
    pub title: String,
    /// Where its answer can be read.
    pub href: Option<String>,
    /// Confidence.
    pub percent: u8,
    /// The follower has seen it.
    pub shown: bool,
}

/// The head and the thread. Lines from `mark` on are new to the reader.
pub(super) async fn live(
    hall: &Hall,
    ticket: &Ticket,
    lines: &[Line],
    mark: u32,
) -> Result<TicketLive, WebError> {
    let now = hall.now();
    let handbook = hall.console.desk.handbook();
    let mut bubbles = Vec::with_capacity(lines.len());
    let mut last_day = None;
    for (n, line) in lines.iter().enumerate() {
        let delivery = match line.delivery {
            Some(id) => hall.store().delivery(id).await?,
            None => None,
        };
        let date = line.at.date();
        let day = (last_day.replace(date) != Some(date)).then(|| words::day(date, now.date()));
        let fresh = n >= mark as usize;
        bubbles.push(Bubble {
            side: side(&line.author),
            who: who(&line.author),
            at: words::clock(line.at),
            text: line.text.clone(),
            fold: fold(line),
            day,
            fresh,
            first_fresh: fresh && n == mark as usize,
            fate: delivery.map(|delivery| fate(&delivery, now)),
            file: line.enclosure.as_ref().map(|enclosure| file(hall, ticket, enclosure)),
            n,
        });
    }
    let number = ticket.number.map(|number| number.to_string()).unwrap_or_default();
    let memory = hall.store().recall(ticket.follower).await?;
    let by_itself = hall.console.desk.settings().customer_service && !ticket.stage.is_over();
    Ok(TicketLive {
        window: by_itself.then(|| words::window(&memory.window, now)),
        scene: memory
            .scene
            .as_ref()
            .map(|(scene, at)| format!("扫码：{scene}（{}）", words::dated(*at, now))),
        title: format!("{number} {}", ticket.subject),
        number,
        subject: ticket.subject.clone(),
        stage: ticket.stage.name(),
        stage_class: words::stage_class(ticket.stage),
        badge: words::deadline(ticket, now, &handbook.calendar),
        category: ticket.category.name(),
        department: ticket.department.name(),
        opened: words::dated(ticket.opened_at, now),
        due: words::dated(ticket.deadline.at, now),
        contact: ticket.contact.clone(),
        assignee: ticket.assignee.clone(),
        n_fresh: bubbles.iter().filter(|bubble| bubble.fresh).count(),
        bubbles,
    })
}

fn file(hall: &Hall, ticket: &Ticket, enclosure: &Enclosure) -> File {
    let path = ticket.number.map(words::number_in_path).unwrap_or_default();
    File {
        href: format!("/console/tickets/{path}/files/{}", enclosure.file),
        name: enclosure.name.clone(),
        is_picture: enclosure.is_picture,
        lost: hall.console.desk.mailroom().and_then(|mailroom| mailroom.why_lost(enclosure.file)),
    }
}

fn side(author: &Author) -> &'static str {
    match author {
        Author::Follower => "follower",
        Author::Bot => "bot",
        Author::Staff(_) => "staff",
        Author::System => "system",
    }
}

fn who(author: &Author) -> String {
    match author {
        Author::Follower => "用户".into(),
        Author::Bot => "自动答复".into(),
        Author::Staff(name) => name.clone(),
        Author::System => String::new(),
    }
}

/// Long words of the bot are folded behind their first line: staff look for what people wrote.
fn fold(line: &Line) -> Option<String> {
    let long = line.text.lines().count() > 5 || line.text.chars().count() > 160;
    let first = line.text.lines().next().unwrap_or_default();
    (line.author == Author::Bot && long).then(|| first.trim_matches(['【', '】']).to_owned())
}

fn fate(delivery: &Delivery, now: Timestamp) -> Fate {
    let at = |at: &Timestamp| words::moment(*at, now);
    let (class, text) = match &delivery.fate {
        Settlement::Sent(when) => ("good", format!("已发送 {}", at(when))),
        Settlement::InReply(when) => ("good", format!("已随下次消息送达 {}", at(when))),
        Settlement::Due(_) => match &delivery.last_error {
            Some(error) => ("soon", format!("等待发送，已试 {} 次（{error}）", delivery.n_tries)),
            None => ("quiet", "等待发送".into()),
        },
        Settlement::Parked(why) => ("soon", format!("等待用户来信后送达（{why}）")),
        Settlement::Failed(why) => ("late", format!("没有送达（{why}）")),
    };
    let tried = delivery.rungs.iter().map(|rung| {
        let name = rung.channel.name();
        match &rung.result {
            RungResult::Taken(_) => format!("；{}已发{name}", at(&rung.at)),
            RungResult::Arrived => format!("；{name}已到手机（{}）", at(&rung.at)),
            RungResult::NotAllowed(_) => format!("；没发成{name}：对方没有同意接收，或同意的次数用完了"),
            RungResult::Refused(why) => format!("；没发成{name}：{why}"),
            RungResult::Lost(why) => format!("；{name}没有到：{why}"),
        }
    });
    let text = tried.fold(text, |text, tried| text + &tried);
    let going = matches!(delivery.fate, Settlement::Due(_));
    Fate { class, text, going }
}

/// What the bot had considered, as links to the entries.
pub(super) fn thoughts(considered: &[Considered], handbook: &Handbook) -> Vec<Thought> {
    let thought = |considered: &Considered| {
        let entry = handbook.knowledge.entry(&considered.entry);
        Thought {
            title: entry.map_or_else(|| considered.entry.to_string(), |entry| entry.title.clone()),
            href: entry.map(|entry| format!("/console/knowledge/{}", entry.id)),
            percent: considered.percent,
            shown: considered.shown,
        }
    };
    considered.iter().map(thought).collect()
}
