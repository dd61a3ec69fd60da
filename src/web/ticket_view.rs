//! How a ticket reads in the console: its head, its lines as bubbles with what became of each message, what the bot
//! had considered. Knows wording; changes nothing.

use super::Hall;
use super::error::WebError;
use super::session::StaffUser;
use super::words::{self, Badge};
use crate::access;
use crate::clock::Timestamp;
use crate::conversation::{RungResult, Settlement};
use crate::live::Other;
use crate::mask::mask;
use crate::store::Delivery;
use crate::ticket::{Author, CallBack, DeliveryId, Enclosure, Line, Origin, Stage, Ticket};
use askama::Template;
use std::sync::Arc;
use std::time::Duration;

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
    /// How it came, where it did not come through WeChat.
    origin: &'static str,
    /// Confidential, for a lead, put aside, merged …
    flags: Vec<String>,
    labels: Vec<String>,
    helpers: String,
    /// Who else is here.
    others: Vec<Other>,
    may_work: bool,
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
    text: String,
    /// The message it was, while it can be taken back by who reads this.
    undo: Option<String>,
    /// It was taken back.
    withdrawn: bool,
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

/// The head and the thread. Lines from `mark` on are new to the reader.
pub(super) async fn live(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    lines: &[Line],
    mark: u32,
) -> Result<TicketLive, WebError> {
    let now = hall.now();
    let handbook = hall.console.desk.handbook();
    let memory = hall.store().recall(ticket.follower).await?;
    let revealed = hall.reveals.holds(user, ticket, now);
    let shown = |text: &str| if revealed { text.to_owned() } else { mask(text).into_owned() };
    let revocable = |id: &DeliveryId| {
        memory.revocable.iter().any(|held| held.deliveries.contains(id) && held.until > now)
    };
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
            text: shown(&line.text),
            undo: line.delivery.filter(revocable).map(|id| format!("{:016x}", id.0)),
            withdrawn: delivery.as_ref().is_some_and(|d| matches!(d.fate, Settlement::Withdrawn(_))),
            fold: fold(line),
            day,
            fresh,
            first_fresh: fresh && n == mark as usize,
            fate: delivery.map(|delivery| fate(&delivery, now)).or_else(|| by_phone(ticket, line)),
            file: line.enclosure.as_ref().map(|enclosure| file(hall, ticket, enclosure)),
            n,
        });
    }
    let number = ticket.number.map(|number| number.to_string()).unwrap_or_default();
    let is_here = ticket.origin == Origin::Wechat;
    let by_itself = is_here && hall.console.desk.settings().customer_service && !ticket.stage.is_over();
    Ok(TicketLive {
        window: by_itself.then(|| words::window(&memory.window, now)),
        scene: memory
            .scene
            .as_ref()
            .map(|(scene, at)| format!("扫码：{scene}（{}）", words::dated(*at, now))),
        origin: if is_here { "" } else { ticket.origin.name() },
        flags: flags(ticket, now),
        labels: ticket.labels.iter().map(|label| label.to_string()).collect(),
        helpers: ticket.helpers.names(),
        others: hall.console.desk.live().others(ticket.id, &user.staff.name, now),
        may_work: access::may_work(&user.staff),
        title: format!("{number} {}", mask(&ticket.subject)),
        number,
        subject: shown(&ticket.subject).into(),
        stage: ticket.stage.name(),
        stage_class: words::stage_class(ticket.stage),
        badge: words::deadline(ticket, now, &handbook.calendar),
        category: ticket.category.name(),
        department: ticket.department.name(),
        opened: words::dated(ticket.opened_at, now),
        due: due(ticket, now),
        contact: ticket.contact.as_ref().map(|contact| shown(contact).into()),
        assignee: ticket.assignee.clone(),
        n_fresh: bubbles.iter().filter(|bubble| bubble.fresh).count(),
        bubbles,
    })
}

fn due(ticket: &Ticket, now: Timestamp) -> String {
    match ticket.left_s {
        Some(left) => format!("暂停计算，还剩 {} 办公时间", words::span(Duration::from_secs(left.into()))),
        None => words::dated(ticket.deadline.at, now),
    }
}

/// What is special about a ticket, in a few words each.
fn flags(ticket: &Ticket, now: Timestamp) -> Vec<String> {
    let mut flags = Vec::new();
    if ticket.is_confidential {
        flags.push("保密件".to_owned());
    }
    if let Some(for_lead) = ticket.for_lead.filter(|_| !ticket.stage.is_over()) {
        flags.push(for_lead.name().to_owned());
    }
    if let Some(extension) = &ticket.extension {
        flags.push(format!("{} 申请延期 {} 个工作日", extension.by, extension.days));
    }
    if let Some(until) = ticket.snoozed_until.filter(|until| *until > now) {
        flags.push(format!("挂起到 {}", words::moment(until, now)));
    }
    if let Some((_, _, number)) = ticket.merged_into.filter(|_| ticket.stage == Stage::Merged) {
        flags.push(format!("已并入 {number}"));
    }
    if !ticket.merged.is_empty() {
        flags.push(format!("有 {} 张单子并入", ticket.merged.len()));
    }
    if ticket.call_back == CallBack::ForStaff {
        flags.push("待电话回访".to_owned());
    }
    flags
}

/// What was said by telephone or at the counter went no other way.
fn by_phone(ticket: &Ticket, line: &Line) -> Option<Fate> {
    let is_told = matches!(line.author, Author::Staff(_)) && line.enclosure.is_none();
    let how = if ticket.origin == Origin::WalkIn { "当面告知" } else { "电话告知" };
    is_told.then(|| Fate { class: "quiet", text: format!("{how}，没有经过微信"), going: false })
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
        Author::Note(_) => "note",
        Author::System => "system",
    }
}

fn who(author: &Author) -> String {
    match author {
        Author::Follower => "用户".into(),
        Author::Bot => "自动答复".into(),
        Author::Staff(name) => name.clone(),
        Author::Note(name) => format!("{name} · 内部备注"),
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
        Settlement::Due(when) if *when > now && delivery.n_tries == 0 => {
            ("quiet", format!("{} 秒后发出", when.since(now).as_secs().max(1)))
        }
        Settlement::Due(_) => match &delivery.last_error {
            Some(error) => ("soon", format!("等待发送，已试 {} 次（{error}）", delivery.n_tries)),
            None => ("quiet", "等待发送".into()),
        },
        Settlement::Parked(why) => ("soon", format!("等待用户来信后送达（{why}）")),
        Settlement::Failed(why) => ("late", format!("没有送达（{why}）")),
        Settlement::Withdrawn(when) => ("quiet", format!("{} 撤回，没有发出", at(when))),
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
