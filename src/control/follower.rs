//! One follower by hand: everything that is kept of them, or none of it any more.

use super::BY_COMMAND;
use crate::audit::Deed;
use crate::clock::Timestamp;
use crate::conversation::{self, Cause};
use crate::store::{Commit, Store, Turn};
use crate::ticket::{Author, FollowerId, Line, Ticket, TicketId};
use anyhow::{Context, bail};
use serde_json::{Value, json};

/// Others of the same follower may be faster so often.
const MAX_ATTEMPTS: usize = 100;

async fn known(store: &dyn Store, openid: &str) -> anyhow::Result<FollowerId> {
    let known = store.known_follower(openid).await?;
    known.context("没有这个用户：openid 不对，或者已经删除")
}

/// Forgets a follower; on disk when this returns. Whose tickets' files have to go.
pub async fn erase(store: &dyn Store, now: Timestamp, openid: &str) -> anyhow::Result<Vec<TicketId>> {
    let follower = known(store, openid).await?;
    for _ in 0..MAX_ATTEMPTS {
        let memory = store.recall(follower).await?;
        let (step, made_from) = (conversation::erasure(&memory), memory.version);
        // Nothing looks for the cause of what leaves nothing behind.
        let tickets = step.erases.clone().unwrap_or_default();
        let deed = Deed::new(now, BY_COMMAND, "删除用户资料", &format!("{follower:?}"));
        let turn = Turn { cause: Cause(0), follower, made_from, at: now, step, deed: Some(deed) };
        if store.commit(turn).await? != Commit::Stale {
            return Ok(tickets);
        }
    }
    bail!("该用户正在不停来信，请稍后再试")
}

/// What is kept of a follower, as JSON.
pub async fn export(store: &dyn Store, openid: &str) -> anyhow::Result<String> {
    let follower = known(store, openid).await?;
    let memory = store.recall(follower).await?;
    let mut tickets = Vec::new();
    for id in memory.past.iter().copied().chain(memory.tickets.iter().map(|ticket| ticket.id)) {
        if let Some(ticket) = store.ticket(id).await? {
            tickets.push(of_ticket(&ticket, &store.lines(id).await?));
        }
    }
    let exchanges = memory.recent.iter().map(|exchange| {
        let reply = exchange.reply.text().map(|text| text.to_string());
        json!({ "at": exchange.at.to_string(), "said": &*exchange.asked, "reply": reply })
    });
    let profile = &memory.profile;
    let all = json!({
        "openid": openid,
        "contact": memory.contact.as_deref(),
        "profile": {
            "alias": profile.alias.as_deref(),
            "phone": profile.phone.as_deref(),
            "enterprise": profile.enterprise.as_deref(),
            "building": profile.building.as_deref(),
        },
        "exchanges": exchanges.collect::<Vec<_>>(),
        "tickets": tickets,
    });
    Ok(serde_json::to_string_pretty(&all)?)
}

fn of_ticket(ticket: &Ticket, lines: &[Line]) -> Value {
    let line = |line: &Line| {
        let author = match &line.author {
            Author::Follower => "用户",
            Author::Bot => "自动答复",
            Author::Staff(name) => name,
            Author::Note(_) => "内部备注",
            Author::System => "系统",
        };
        let file = line.enclosure.as_ref().map(|enclosure| enclosure.name.to_string());
        json!({ "at": line.at.to_string(), "author": author, "text": &*line.text, "file": file })
    };
    json!({
        "number": ticket.number.map(|number| number.to_string()),
        "opened_at": ticket.opened_at.to_string(),
        "stage": ticket.stage.name(),
        "category": ticket.category.name(),
        "department": ticket.department.name(),
        "subject": &*ticket.subject,
        "contact": ticket.contact.as_deref(),
        "rating": ticket.rating.map(|rating| rating.name()),
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
    })
}
