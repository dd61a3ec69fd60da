//! The rungs below a customer-service message (PROTOCOL §7): a notice by subscription to who has allowed it, then one by
//! template, each saying that there is an answer and where it can be read. Knows which is tried when; not what becomes of
//! the message itself.

use super::Courier;
use crate::clock::Timestamp;
use crate::conversation::{Channel, Memory, Rung, RungResult, phrases};
use crate::store::{Delivery, Result};
use crate::ticket::Ticket;
use crate::wechat::{OpenId, Outcome, RefusedKind};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A way that the account is not allowed to go is tried again after so long: an operator may have had it opened.
const SHUT_FOR: Duration = Duration::from_secs(3600);

/// Which ways are shut to this account, and until when they are not tried.
#[derive(Debug, Default)]
pub(super) struct ShutWays(Mutex<Vec<(Channel, Timestamp, String)>>);

impl ShutWays {
    /// WeChat does not allow the account to go this way (48001 and the like).
    pub fn shut(&self, channel: Channel, why: &str, now: Timestamp) {
        let mut shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shut.retain(|(other, _, _)| *other != channel);
        shut.push((channel, now.after(SHUT_FOR), why.to_owned()));
    }

    /// It went.
    pub fn open(&self, channel: Channel) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _, _)| *other != channel);
    }

    /// Why it is not tried now.
    pub fn why(&self, channel: Channel, now: Timestamp) -> Option<String> {
        let shut = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shut.iter().find(|(other, until, _)| *other == channel && now < *until).map(|(_, _, why)| why.clone())
    }
}

impl Courier {
    /// Tells the follower that there is something to read, once for a message; what was tried and how it went.
    pub(super) async fn climb(
        &self,
        delivery: &Delivery,
        openid: &OpenId,
        memory: &Memory,
    ) -> Result<Vec<Rung>> {
        let was_told = delivery.rungs.iter().any(|rung| matches!(rung.result, RungResult::Taken(_)));
        let Some(ticket) = self.desk.store().ticket(delivery.ticket).await?.filter(|_| !was_told) else {
            return Ok(Vec::new());
        };
        let mut rungs = Vec::new();
        for channel in [Channel::Subscribe, Channel::Template] {
            let Some(result) = self.notify(channel, delivery, openid, memory, &ticket).await else {
                continue;
            };
            let is_done = matches!(result, RungResult::Taken(_));
            rungs.push(Rung { at: self.clock.now(), channel, result });
            if is_done {
                break;
            }
        }
        Ok(rungs)
    }

    /// One notice; `None` where this way is not set up, not allowed by the follower, or shut.
    async fn notify(
        &self,
        channel: Channel,
        delivery: &Delivery,
        openid: &OpenId,
        memory: &Memory,
        ticket: &Ticket,
    ) -> Option<RungResult> {
        let ladder = &self.ladder;
        let (template, fields) = match channel {
            Channel::Custom => return None,
            Channel::Subscribe => (&ladder.subscribe_template, &ladder.subscribe_fields),
            Channel::Template => (&ladder.template, &ladder.template_fields),
        };
        let is_allowed = channel != Channel::Subscribe
            || memory.consents.iter().any(|consent| *consent.template == **template && consent.n > 0);
        let now = self.clock.now();
        if template.is_empty() || !is_allowed || self.shut.why(channel, now).is_some() {
            return None;
        }
        let url = self.desk.settings().pages.as_ref().map(|pages| pages.url(ticket.id, now));
        let data = filled(fields, ticket, now);
        let (outcome, known_by) = match channel {
            Channel::Subscribe => {
                let sent = self.client.notify_subscribe(openid, template, url.as_deref(), &data).await;
                (sent, Some(template.clone()))
            }
            _ => {
                let once = format!("{:016x}", delivery.id.0);
                self.client.notify_template(openid, template, url.as_deref(), &once, &data).await
            }
        };
        Some(match outcome {
            Outcome::Sent => {
                self.shut.open(channel);
                self.notices.clear(topic(channel));
                RungResult::Taken(known_by.unwrap_or_default().into())
            }
            Outcome::Transient { why, .. } => RungResult::Refused(why.into()),
            Outcome::Refused { code: 43101, .. } => RungResult::NotAllowed(template.as_str().into()),
            Outcome::Refused { why, kind, .. } => {
                if kind == RefusedKind::NotAllowed {
                    self.shut.shut(channel, &why, now);
                }
                // A wrong template or field is the operator's to mend, too.
                if matches!(kind, RefusedKind::NotAllowed | RefusedKind::NextRung) {
                    let sentence = format!("{}发不出去：{why}", channel.name());
                    self.notices.put(topic(channel), sentence);
                }
                RungResult::Refused(why.into())
            }
        })
    }
}

/// Under what the operator reads of it.
fn topic(channel: Channel) -> &'static str {
    match channel {
        Channel::Custom => "customer-service",
        Channel::Subscribe => "subscribe-notice",
        Channel::Template => "template-message",
    }
}

/// The fields of a template with what they say of the ticket.
fn filled(fields: &[(String, String)], ticket: &Ticket, now: Timestamp) -> BTreeMap<String, String> {
    let at = now.local();
    let time = at.strftime("%Y-%m-%d %H:%M").to_string();
    let filled = |text: &String| {
        text.replace("{number}", &phrases::number(ticket))
            .replace("{stage}", ticket.stage.name())
            .replace("{time}", &time)
            .replace("{subject}", &ticket.subject)
    };
    fields.iter().map(|(name, text)| (name.clone(), filled(text))).collect()
}
