//! What is said next: one happening and what was remembered → one step. Pure: no clock, no I/O, no randomness, no WeChat.
//! `step` is the only place where behaviour towards followers is decided; `phrases` holds every sentence of the bot's own.

mod command;
mod follower;
mod handoff;
mod ladder;
mod lapse;
mod memory;
pub mod phrases;
mod staff;
mod telling;
#[cfg(test)]
mod tests;

pub use command::{Command, command};
pub use follower::{PICTURE, is_known_key, question};
pub use ladder::{Channel, NoticeFate, Rung, RungResult};
pub use memory::{Consent, Exchange, Later, Memory, NoticeSent, Parked, Reply, State};
pub use staff::longest_answer;

use crate::answer_link::AnswerLinks;
use crate::bubble;
use crate::calendar::Calendar;
use crate::clock::Timestamp;
use crate::knowledge::{Asked, EntryId, Knowledge, Place};
use crate::ticket::{Change, DeliveryId, Enclosure, FileId, FollowerId, Line, TicketId};
use crate::window::{Limits, Shut, Trigger};
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

    /// The name of the `n`-th message this cause sends.
    fn delivery(self, n: usize) -> DeliveryId {
        DeliveryId((self.0 as u64).wrapping_add((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// What a follower, a member of staff, the courier or the clock did.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Wrote a text.
    Said(String),
    /// Tapped words of ours in the chat, which then stand there as theirs.
    Tapped {
        /// The words.
        says: String,
        /// What was put beside them.
        id: String,
    },
    /// Sent something that is no text; the sentence describes it for staff.
    Sent(Attachment),
    /// Sent what WeChat cannot show us.
    Unsupported,
    /// Began to follow, perhaps through a QR code with a scene.
    Followed {
        /// The scene.
        scene: Option<String>,
    },
    /// Scanned a QR code with this scene; followed before.
    Scanned(String),
    /// Stopped following, or wants to be forgotten.
    Left,
    /// Pressed a button of the account's menu.
    Clicked(String),
    /// A member of staff did something to a ticket.
    Staff(StaffAct),
    /// WeChat took a message.
    Delivered(DeliveryId),
    /// WeChat will not take a message now, or ever.
    Undeliverable {
        /// Which.
        delivery: DeliveryId,
        /// The ticket it belongs to.
        ticket: TicketId,
        /// Its text.
        text: Text,
        /// Why, as a sentence for the console.
        why: String,
        /// Whether it may go later.
        later: Later,
        /// WeChat's own word about the window, where it is the reason.
        shut: Option<Shut>,
        /// When it was tried.
        tried_at: Timestamp,
        /// What was tried besides, and how it went.
        rungs: Vec<Rung>,
    },
    /// Allowed (or no longer allows) notices by these templates.
    Consented(Vec<(String, bool)>),
    /// What became of notices WeChat had taken.
    Noticed(Vec<NoticeFate>),
    /// The time noted in the memory has come.
    TimePassed,
}

/// Something sent that is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its kind in Chinese: 图片, 语音, 位置 …
    pub kind: &'static str,
    /// What staff see of it.
    pub detail: String,
    /// WeChat's name for the file, where there is one to be fetched.
    pub media: Option<String>,
}

/// What a member of staff does to a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct StaffAct {
    /// Which.
    pub ticket: TicketId,
    /// Who.
    pub by: String,
    /// How many lines they had seen.
    pub seen: u32,
    /// What.
    pub act: Act,
}

/// The kinds of [`StaffAct`].
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Takes it up.
    Claim,
    /// Answers.
    Answer(String),
    /// Asks the follower something.
    AskBack(String),
    /// Sends a file, which is among the ticket's files already.
    Enclose(Enclosure),
    /// Closes, with a last word where there is one.
    Close(Option<String>),
}

/// One happening, told once or twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// What makes it unique.
    pub cause: Cause,
    /// Whom it concerns.
    pub follower: FollowerId,
    /// What.
    pub event: Event,
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
    /// The reply; `None` where none is due.
    pub reply: Option<Text>,
    /// Set when nothing was done: why.
    pub refusal: Option<Refusal>,
    /// Everything that says who the follower is or what was said with them goes: the openid, the memory, the words and
    /// messages of these tickets. Nothing of theirs is committed any more.
    pub erases: Option<Vec<TicketId>>,
}

/// Why a staff act was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket has lines the writer has not seen.
    Newer,
    /// The ticket is closed.
    Over,
    /// The ticket is not (or no longer) at hand.
    Gone,
    /// There is nothing to send.
    Empty,
    /// The text is too long; how many bytes may it have.
    TooLong(usize),
    /// Too many messages wait for the follower's next word already.
    TooManyWait,
    /// There is no page from which the follower could fetch a file.
    NoPage,
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
        Event::Staff(act) => staff::act(&mut turn, act),
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
    Step { erases: Some(tickets.collect()), ..Step::default() }
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

    fn line(&self, author: crate::ticket::Author, text: impl Into<Text>) -> Line {
        Line { at: self.now, author, text: text.into(), delivery: None, enclosure: None }
    }

    fn finish(mut self) -> Step {
        for change in &self.changes {
            self.memory.put(change.ticket.clone());
        }
        if self.answer_of.is_none() && self.office.settings.tappable {
            let tapped = self.reply.as_deref().and_then(phrases::tapped);
            self.reply = tapped.map(Text::from).or(self.reply.take());
        }
        match self.asked.take() {
            Some(mut exchange) => {
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
            reply: self.reply,
            refusal: self.refusal,
            erases: None,
        }
    }
}
