//! What else was tried for a message that WeChat does not take as a customer-service message: a notice that tells the
//! follower to come and read (PROTOCOL §7, the ladder). Keeps consents and what became of each try; sends nothing.

use super::{Consent, DeliveryId, NoticeSent, Text, Turn};
use crate::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// By what a message or a notice about it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Channel {
    /// 客服消息
    Custom,
    /// 订阅通知
    Subscribe,
    /// 模板消息
    Template,
}

impl Channel {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Custom => "客服消息",
            Self::Subscribe => "订阅通知",
            Self::Template => "模板消息",
        }
    }
}

/// One try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rung {
    /// When.
    pub at: Timestamp,
    /// How.
    pub channel: Channel,
    /// What came of it.
    pub result: RungResult,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RungResult {
    /// WeChat took it. By what its later word is known: the message id, or the template.
    Taken(Text),
    /// WeChat did not, for this reason.
    Refused(Text),
    /// WeChat did not: the follower has not (or no longer) allowed notices by this template.
    NotAllowed(Text),
    /// WeChat says that it arrived.
    Arrived,
    /// WeChat says that it did not, for this reason.
    Lost(Text),
}

/// WeChat's later word about a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeFate {
    /// How it was sent.
    pub channel: Channel,
    /// Its message id, or its template.
    pub known_by: Text,
    /// The reason where it did not arrive.
    pub lost: Option<Text>,
}

/// Templates whose consents are remembered, and notices for one.
const MAX_CONSENTS: usize = 4;
const MAX_A_TEMPLATE: u8 = 20;
/// Notices whose fate is waited for.
const MAX_NOTICES: usize = 8;
/// Longer names than WeChat's are nobody's template.
const MAX_NAME: usize = 128;

/// The follower allowed notices, or took that back.
pub(super) fn consented(turn: &mut Turn<'_>, templates: &[(String, bool)]) {
    let consents = &mut turn.memory.consents;
    for (template, allowed) in templates.iter().filter(|(template, _)| template.len() <= MAX_NAME) {
        let known = consents.iter().position(|consent| *consent.template == **template);
        match (known, allowed) {
            (Some(at), true) => consents[at].n = consents[at].n.saturating_add(1).min(MAX_A_TEMPLATE),
            (Some(at), false) => drop(consents.remove(at)),
            (None, true) if consents.len() < MAX_CONSENTS => {
                consents.push(Consent { template: template.as_str().into(), n: 1 });
            }
            (None, _) => {}
        }
    }
}

/// What was tried for a message: each result is kept with it, a consent that was used is used up.
pub(super) fn climbed(turn: &mut Turn<'_>, delivery: DeliveryId, rungs: &[Rung]) {
    for rung in rungs {
        turn.rungs.push((delivery, rung.clone()));
        if let RungResult::NotAllowed(template) = &rung.result {
            // WeChat knows better than we what the follower allows.
            turn.memory.consents.retain(|consent| consent.template != *template);
        }
        let RungResult::Taken(known_by) = &rung.result else { continue };
        if rung.channel == Channel::Subscribe && !turn.office.settings.long_term_consent {
            let used = turn.memory.consents.iter_mut().find(|consent| consent.template == *known_by);
            used.into_iter().for_each(|consent| consent.n = consent.n.saturating_sub(1));
            turn.memory.consents.retain(|consent| consent.n > 0);
        }
        let is_of_it = |fate: &NoticeFate| fate.channel == rung.channel && fate.known_by == *known_by;
        if let Some(at) = turn.memory.early.iter().position(is_of_it) {
            let fate = turn.memory.early.remove(at);
            fate.into_iter().for_each(|fate| turn.rungs.push((delivery, later_word(&fate, turn.now))));
            continue;
        }
        let notices = &mut turn.memory.notices;
        if notices.len() >= MAX_NOTICES {
            notices.pop_front();
        }
        notices.push_back(NoticeSent { delivery, channel: rung.channel, known_by: known_by.clone() });
    }
}

/// WeChat's later word: kept with the message the notice was for, or until it is noted that it was sent.
pub(super) fn noticed(turn: &mut Turn<'_>, fate: &NoticeFate) {
    let is_it = |sent: &NoticeSent| sent.channel == fate.channel && sent.known_by == fate.known_by;
    if let Some(at) = turn.memory.notices.iter().position(is_it) {
        let sent = turn.memory.notices.remove(at);
        sent.into_iter().for_each(|sent| turn.rungs.push((sent.delivery, later_word(fate, turn.now))));
        return;
    }
    let early = &mut turn.memory.early;
    if early.len() >= MAX_NOTICES {
        early.pop_front();
    }
    if fate.known_by.len() <= MAX_NAME {
        early.push_back(fate.clone());
    }
}

fn later_word(fate: &NoticeFate, at: Timestamp) -> Rung {
    let result = fate.lost.clone().map_or(RungResult::Arrived, RungResult::Lost);
    Rung { at, channel: fate.channel, result }
}
