//! What is said next: one happening and what was remembered → one step. Pure: no clock, no I/O, no randomness, no WeChat.
//! `step` is the only place where behaviour towards followers is decided; `phrases` holds every sentence of the bot's own.

mod command;
mod desk_work;
mod event;
mod follower;
mod handoff;
mod ladder;
mod lapse;
mod memory;
mod merge;
pub mod phrases;
mod staff;
mod telling;
#[cfg(test)]
mod tests;
mod undo;

pub use command::{Command, command};
pub use event::{Act, Attachment, Event, Happening, Intake, MergeInto, Refusal, StaffAct};
pub use follower::{PICTURE, is_known_key, question};
pub use ladder::{Channel, NoticeFate, Rung, RungResult};
pub use memory::{Consent, Exchange, Held, Later, Memory, NoticeSent, Parked, Reply, State};
pub use merge::{Relay, Relayed};
pub use staff::{longest_answer, messages_of};

use crate::answer_link::AnswerLinks;
use crate::bubble;
use crate::calendar::Calendar;
use crate::clock::Timestamp;
use crate::knowledge::{Asked, Category, EntryId, Knowledge, Place};
use crate::ticket::{Began, Change, DeliveryId, FileId, FollowerId, Line, TicketId};
use crate::window::{Limits, Trigger};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Text that is shared, not copied, between memory, reply and delivery.
pub type Text = Arc<str>;

/// Stands in texts for the number of a ticket that is only just being opened; the store puts the number in its place.
/// A private-use character: it is removed from whatever comes from outside.
pub const NUMBER: char = '\u{e000}';

/// What happened, by a 128-bit hash of what makes it unique. Told twice means the same cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause(pub u128);

impl Cause {
    /// The name of the ticket this cause opens.
    fn ticket(self) -> TicketId {
        TicketId((self.0 >> 64) as u64)
    }

    /// The cause of the `n`-th thing that this one leads to elsewhere.
    fn relayed(self, n: usize) -> Self {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        Self((self.0 ^ 0x72_656c_6179).wrapping_mul(ODD).wrapping_add(n as u128 + 1))
    }

    /// The name of the `n`-th message this cause sends.
    fn delivery(self, n: usize) -> DeliveryId {
        DeliveryId((self.0 as u64).wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// What the office can be set to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The account may send messages by itself (客服接口).
    pub customer_service: bool,
    /// Working time until an answer is due.
    pub answer_within: Duration,
    /// More messages a minute than this are not answered.
    pub max_per_minute: u16,
    /// More open tickets than this are not opened; more is added to the newest.
    pub max_open_tickets: usize,
    /// An answer leaves only after this time, so that it can be taken back.
    pub undo: Duration,
    /// What the account may send by itself, and when.
    pub window: Limits,
    /// Choices are links, too.
    pub tappable: bool,
    /// Where tickets have pages of their own; `None`: nowhere that followers could open.
    pub pages: Option<AnswerLinks>,
    /// Followers' consent to notices holds until they take it back; else each consent is good for one.
    pub long_term_consent: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            customer_service: true,
            answer_within: Duration::from_secs(6 * 3600),
            max_per_minute: 20,
            max_open_tickets: 5,
            undo: Duration::ZERO,
            window: Limits::default(),
            tappable: true,
            pages: None,
            long_term_consent: false,
        }
    }
}

/// What a step may look up.
#[derive(Clone, Copy, Debug)]
pub struct Office<'a> {
    /// What the office knows.
    pub knowledge: &'a Knowledge,
    /// When it works.
    pub calendar: &'a Calendar,
    /// How it is set.
    pub settings: &'a Settings,
    /// What the follower's message means, where there was time to find out.
    pub vector: Option<&'a [f32]>,
}

impl Office<'_> {
    /// What the knowledge has for the follower's message.
    fn ask(&self, message: &str, now: Timestamp) -> Arc<Asked> {
        self.knowledge.ask(message, self.vector, now.date())
    }
}

/// A message on its way, apart from the reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Say {
    /// Its name.
    pub delivery: DeliveryId,
    /// The ticket it belongs to.
    pub ticket: TicketId,
    /// Its text; of a picture what stands in its place where only words can go.
    pub text: Text,
    /// The picture it is, among the ticket's files.
    pub picture: Option<FileId>,
    /// Sent from then on; `None`: it is parked from the start, for this reason.
    pub when: Result<Timestamp, &'static str>,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Settlement {
    /// To be sent from then on, as if new.
    Due(Timestamp),
    /// WeChat took it.
    Sent(Timestamp),
    /// It went in the reply to the follower's next message.
    InReply(Timestamp),
    /// It waits for the follower's next message, for this reason.
    Parked(String),
    /// It will not arrive, for this reason.
    Failed(String),
    /// It was taken back before it left.
    Withdrawn(Timestamp),
}

/// What the bot made of a message, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It told an entry of this category.
    Answer(Category),
    /// It offered a choice.
    Offer,
    /// Small talk, a command, the menu.
    Talk,
    /// It has no answer.
    Unknown,
    /// It went to staff: a new ticket, or a line of one.
    ToStaff,
}

/// What a happening leads to; committed as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What is remembered from now on.
    pub memory: Memory,
    /// Tickets opened or changed.
    pub changes: Vec<Change>,
    /// Messages promised.
    pub says: Vec<Say>,
    /// Messages whose fate is known.
    pub settles: Vec<(DeliveryId, Settlement)>,
    /// What else was tried for a message.
    pub rungs: Vec<(DeliveryId, Rung)>,
    /// What has to happen to other followers' tickets because of it.
    pub relays: Vec<Relay>,
    /// What the bot made of the follower's message.
    pub told: Option<Told>,
    /// The step opened a ticket, for this reason.
    pub opened: Option<Began>,
    /// The reply; `None` where none is due.
    pub reply: Option<Text>,
    /// Set when nothing was done: why.
    pub refusal: Option<Refusal>,
    /// Everything that says who the follower is or what was said with them goes: the openid, the memory, the words and
    /// messages of these tickets. Nothing of theirs is committed any more.
    pub erases: Option<Vec<TicketId>>,
}

/// What a happening leads to. Cannot fail; told twice it gives the same (the store sees to the rest).
pub fn step(office: &Office<'_>, now: Timestamp, memory: &Memory, happening: &Happening) -> Step {
    if happening.event == Event::Left {
        return erasure(memory);
    }
    if let Some(step) = telling::tell_again(office, now, memory, happening.cause) {
        return step;
    }
    let mut turn = Turn::new(office, now, memory.clone(), happening);
    lapse::lapse(&mut turn);
    match &happening.event {
        Event::Said(text) => follower::said(&mut turn, text, Trigger::Message),
        Event::Tapped { says, id } => follower::tapped(&mut turn, says, id),
        Event::Sent(attachment) => follower::sent(&mut turn, attachment),
        Event::Unsupported => follower::unsupported(&mut turn),
        Event::Followed { scene } => follower::followed(&mut turn, scene.as_deref()),
        Event::Scanned(scene) => follower::scanned(&mut turn, scene),
        Event::Left => {}
        Event::Clicked(key) => follower::clicked(&mut turn, key),
        Event::Staff(act) => desk_work::act(&mut turn, act),
        Event::Lodged(intake) => handoff::lodge(&mut turn, intake),
        Event::Relayed(relayed) => merge::relayed(&mut turn, relayed),
        Event::Delivered(delivery) => staff::delivered(&mut turn, *delivery),
        Event::Undeliverable { delivery, ticket, text, why, later, shut, tried_at, rungs } => {
            let parked = Parked { delivery: *delivery, ticket: *ticket, in_reply: Some(text.clone()) };
            if let Some(shut) = shut {
                turn.memory.window.correct(*shut, *tried_at);
            }
            ladder::climbed(&mut turn, *delivery, rungs);
            if *later == Later::OnContact && turn.memory.window.is_open_since(*tried_at, turn.now) {
                // The follower has written while it was tried.
                turn.settles.push((*delivery, Settlement::Due(turn.now)));
            } else {
                staff::undeliverable(&mut turn, parked, why, *later);
            }
        }
        Event::Consented(templates) => ladder::consented(&mut turn, templates),
        Event::Noticed(fates) => fates.iter().for_each(|fate| ladder::noticed(&mut turn, fate)),
        Event::TimePassed => {}
    }
    turn.finish()
}

/// The follower is forgotten. Unsubscribing asks for it (PROTOCOL §3), and so may anybody.
pub fn erasure(memory: &Memory) -> Step {
    let tickets = memory.tickets.iter().map(|ticket| ticket.id).chain(memory.past.iter().copied());
    // Those who wait for an answer to somebody who leaves get one of their own.
    let waiting =
        memory.tickets.iter().flat_map(|ticket| ticket.merged.iter().map(|other| (ticket.id, other)));
    let relay = |(of, (follower, id)): (TicketId, &(FollowerId, TicketId))| Relay {
        cause: Cause(u128::from(of.0) << 64 | u128::from(id.0)).relayed(0),
        follower: *follower,
        what: Relayed::Parted { ticket: *id, why: "主单的用户已取消关注".to_owned() },
    };
    let relays = waiting.map(relay).collect();
    Step { erases: Some(tickets.collect()), relays, ..Step::default() }
}

/// What somebody who has never written would read, were this their first message; a new ticket gets this number.
pub fn rehearse(office: &Office<'_>, now: Timestamp, text: &str, number: &str) -> String {
    let event = Event::Said(text.to_owned());
    let happening = Happening { cause: Cause(1), follower: FollowerId(1), event };
    let reply = step(office, now, &Memory::default(), &happening).reply;
    reply.map(|reply| bubble::plain(&reply.replace(NUMBER, number))).unwrap_or_default()
}

/// A step in the making.
struct Turn<'a> {
    office: &'a Office<'a>,
    now: Timestamp,
    cause: Cause,
    follower: FollowerId,
    memory: Memory,
    changes: Vec<Change>,
    says: Vec<Say>,
    settles: Vec<(DeliveryId, Settlement)>,
    rungs: Vec<(DeliveryId, Rung)>,
    relays: Vec<Relay>,
    told: Option<Told>,
    opened: Option<Began>,
    reply: Option<Text>,
    /// The entry whose answer the reply is, and for which place.
    answer_of: Option<(EntryId, Option<Place>)>,
    refusal: Option<Refusal>,
    /// What is kept of what the follower did, where it was the follower; the reply is put in at the end.
    asked: Option<Exchange>,
}

impl<'a> Turn<'a> {
    fn new(office: &'a Office<'a>, now: Timestamp, memory: Memory, happening: &Happening) -> Self {
        Self {
            office,
            now,
            cause: happening.cause,
            follower: happening.follower,
            memory,
            changes: Vec::new(),
            says: Vec::new(),
            settles: Vec::new(),
            rungs: Vec::new(),
            relays: Vec::new(),
            told: None,
            opened: None,
            reply: None,
            answer_of: None,
            refusal: None,
            asked: None,
        }
    }

    /// The follower did something that gets a reply, and gives the account a right to write.
    fn hear(&mut self, asked: &str, is_event: bool, trigger: Trigger) {
        self.memory.window.grant(trigger, &self.office.settings.window, self.now);
        self.asked = Some(Exchange {
            cause: self.cause,
            at: self.now,
            asked: asked.replace(NUMBER, "").into(),
            enclosure: None,
            reply: Reply::Silence,
            considered: Vec::new(),
            is_event,
        });
    }

    /// The same in a message that may be read only when the follower next writes.
    fn page_in_message(&self, ticket: TicketId) -> Option<String> {
        let read_by = self.now.after(lapse::UNSEEN);
        self.office.settings.pages.as_ref().map(|pages| pages.url(ticket, read_by))
    }

    /// Where the follower can read a ticket.
    fn page(&self, ticket: TicketId) -> Option<String> {
        self.office.settings.pages.as_ref().map(|pages| pages.url(ticket, self.now))
    }

    fn answer(&mut self, text: impl Into<Text>) {
        self.reply = Some(text.into());
    }

    /// The change of a ticket within this turn, begun if need be; `None` if the ticket is not at hand.
    fn change(&mut self, id: TicketId) -> Option<&mut Change> {
        if let Some(at) = self.changes.iter().position(|change| change.ticket.id == id) {
            return self.changes.get_mut(at);
        }
        let change = Change::of(self.memory.ticket(id)?, self.now);
        self.changes.push(change);
        self.changes.last_mut()
    }

    /// Adds a line to a ticket; `false` if it is not at hand or full.
    fn write(&mut self, id: TicketId, line: Line) -> bool {
        self.change(id).is_some_and(|change| change.write(line))
    }

    fn line(&self, author: crate::ticket::Author, text: impl Into<Text>) -> Line {
        Line { at: self.now, author, text: text.into(), delivery: None, enclosure: None }
    }

    /// Another follower's ticket is concerned.
    fn relay(&mut self, follower: FollowerId, what: Relayed) {
        let cause = self.cause.relayed(self.relays.len());
        self.relays.push(Relay { cause, follower, what });
    }

    /// Tickets that wait for the office say until when the account may write. What a follower writes to the bot moves that,
    /// too; an hour's difference is worth writing down.
    fn note_window(&mut self) {
        const WORTH: Duration = Duration::from_secs(3600);
        let ends = self.memory.window.open(self.now).map(|right| right.ends);
        for change in &mut self.changes {
            change.ticket.window_ends = ends;
        }
        let moved = |before: Option<Timestamp>| match (before, ends) {
            (None, None) => false,
            (Some(before), Some(ends)) => before.since(ends).max(ends.since(before)) >= WORTH,
            (None, Some(_)) => true,
            // It closed by itself; the list sees that.
            (Some(_), None) => false,
        };
        let stale: Vec<TicketId> = (self.memory.tickets.iter())
            .filter(|ticket| ticket.stage.is_open() && moved(ticket.window_ends))
            .map(|ticket| ticket.id)
            .collect();
        for id in stale {
            let changed_at = self.memory.ticket(id).map(|ticket| ticket.changed_at);
            if let (Some(change), Some(changed_at)) = (self.change(id), changed_at)
                && change.lines.is_empty()
                && change.ticket.window_ends != ends
            {
                // Nothing happened to the ticket itself.
                (change.ticket.window_ends, change.ticket.changed_at) = (ends, changed_at);
            }
        }
    }

    fn finish(mut self) -> Step {
        if self.refusal.is_none() {
            self.note_window();
        }
        for change in &self.changes {
            self.memory.put(change.ticket.clone());
        }
        if self.answer_of.is_none() && self.office.settings.tappable {
            let tapped = self.reply.as_deref().and_then(phrases::tapped);
            self.reply = tapped.map(Text::from).or(self.reply.take());
        }
        match self.asked.take() {
            Some(mut exchange) => {
                if !exchange.is_event {
                    self.told.get_or_insert(Told::Talk);
                }
                exchange.reply = match (self.reply.clone(), self.answer_of.take()) {
                    (None, _) => Reply::Silence,
                    (Some(text), None) => Reply::Words(text),
                    (Some(text), Some((entry, place))) => Reply::Answer(entry, place, Some(text)),
                };
                self.memory.remember(exchange);
            }
            None => memory::note(&mut self.memory.seen, self.cause),
        }
        self.memory.wakes_at = lapse::next(&self.memory);
        Step {
            memory: self.memory,
            changes: self.changes,
            says: self.says,
            settles: self.settles,
            rungs: self.rungs,
            relays: self.relays,
            told: self.told,
            opened: self.opened,
            reply: self.reply,
            refusal: self.refusal,
            erases: None,
        }
    }
}
