//! What is said next: one happening and what was remembered → one step. Pure: no clock, no I/O, no randomness, no WeChat.
//! `step` is the only place where behaviour towards followers is decided; `phrases` holds every sentence of the bot's own.

mod command;
mod follower;
mod handoff;
mod lapse;
pub mod phrases;
mod staff;
#[cfg(test)]
mod tests;

pub use command::{Command, command};

use crate::calendar::Calendar;
use crate::clock::Timestamp;
use crate::knowledge::{Asked, EntryId, Knowledge};
use crate::ticket::{Change, Considered, DeliveryId, FollowerId, Line, Ticket, TicketId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
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

/// Where the conversation with a follower stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum State {
    /// The bot answers.
    #[default]
    Answering,
    /// The follower may choose one of these by number, until then.
    Choosing {
        /// In the order of their numbers.
        entries: Vec<EntryId>,
        /// When the choice lapses.
        until: Timestamp,
    },
    /// What the follower writes goes to this ticket.
    WithStaff(TicketId),
    /// An answer has been given; the follower may rate it, until then.
    Rating {
        /// The answered ticket.
        ticket: TicketId,
        /// When the question lapses.
        until: Timestamp,
    },
}

/// What a follower, a member of staff, the courier or the clock did.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Wrote a text, or chose one from a menu in the chat.
    Said(String),
    /// Sent something that is no text; the sentence describes it for staff.
    Sent(Attachment),
    /// Sent what WeChat cannot show us.
    Unsupported,
    /// Began to follow.
    Followed,
    /// Stopped following.
    Unfollowed,
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
        /// Its text.
        text: Text,
        /// Why, as a sentence for the console.
        why: String,
        /// Whether it may go later.
        later: Later,
    },
    /// The time noted in the memory has come.
    TimePassed,
}

/// What is left for a message that WeChat does not take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Later {
    /// Sent again when the follower next writes, which opens the window.
    OnContact,
    /// Put into the reply to the follower's next message: the account may not send by itself.
    InReply,
    /// Nothing: it can never be sent.
    Never,
}

/// Something sent that is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its kind in Chinese: 图片, 语音, 位置 …
    pub kind: &'static str,
    /// What staff see of it.
    pub detail: String,
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

/// One message of the follower and what the bot said to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What caused it.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
    /// The message.
    pub asked: Text,
    /// The reply.
    pub reply: Reply,
    /// What the bot considered.
    pub considered: Vec<Considered>,
    /// It was no message but something that happened: followed, pressed a button.
    pub is_event: bool,
}

/// What the bot replied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// Nothing: none was due.
    Silence,
    /// These words.
    Words(Text),
    /// The answer of an entry. Its text, nearly all of what would have to be written, is not stored: after a restart
    /// it is made afresh.
    Answer(EntryId, #[serde(skip)] Option<Text>),
}

impl Reply {
    /// What was said, as far as it is at hand.
    pub fn text(&self) -> Option<&Text> {
        match self {
            Self::Silence | Self::Answer(_, None) => None,
            Self::Words(text) | Self::Answer(_, Some(text)) => Some(text),
        }
    }

    /// The same with its text replaced.
    pub fn map(&self, change: impl FnOnce(&Text) -> Text) -> Self {
        match self {
            Self::Words(text) => Self::Words(change(text)),
            Self::Answer(entry, Some(text)) => Self::Answer(entry.clone(), Some(change(text))),
            other => other.clone(),
        }
    }
}

/// A message that waits for the follower's next word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// Which.
    pub delivery: DeliveryId,
    /// Its text.
    pub text: Text,
    /// How it goes then.
    pub later: Later,
}

/// All that is remembered of one follower.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Counts commits; a step is made from one version.
    pub version: u64,
    /// Where the conversation stands.
    pub state: State,
    /// Own tickets, open and recent; kept by the store under their own names.
    #[serde(skip)]
    pub tickets: Vec<Ticket>,
    /// What waits for the follower's next word.
    pub parked: VecDeque<Parked>,
    /// Texts that wait for 继续, where the account has no customer-service interface.
    pub more: VecDeque<Text>,
    /// The last exchanges, oldest first.
    pub recent: VecDeque<Arc<Exchange>>,
    /// Causes of other happenings, so that they count once.
    pub seen: VecDeque<Cause>,
    /// How often in a row the follower found an answer of no use, and when last.
    pub misses: (u8, Timestamp),
    /// Messages in the running minute: its start, how many.
    pub flow: (Timestamp, u16),
    /// When the last receipt for something appended to a ticket went out.
    pub receipt_at: Option<Timestamp>,
    /// The follower was asked for contact data in this ticket and has not answered yet.
    pub contact_asked: Option<TicketId>,
    /// Contact data given earlier.
    pub contact: Option<Text>,
    /// When the next lapse is due.
    pub wakes_at: Option<Timestamp>,
}

/// How many exchanges, and how many bytes of them, are remembered.
const MAX_RECENT: usize = 20;
const MAX_RECENT_BYTES: usize = 20 * 1024;
/// In how many of them all that was considered is kept.
const MAX_CONSIDERED: usize = 3;
const MAX_SEEN: usize = 32;
/// How many own tickets are at hand.
const MAX_TICKETS: usize = 12;

impl Memory {
    /// The saved reply if this cause has been dealt with: `Some(None)` where the reply was silence.
    pub fn replied(&self, cause: Cause) -> Option<Option<Text>> {
        if let Some(exchange) = self.recent.iter().rev().find(|exchange| exchange.cause == cause) {
            let lost = matches!(exchange.reply, Reply::Answer(_, None));
            return (!lost).then(|| exchange.reply.text().cloned());
        }
        let opened = self.tickets.iter().any(|ticket| ticket.id == cause.ticket());
        (opened || self.seen.contains(&cause)).then_some(None)
    }

    /// The ticket of that name, if it is at hand.
    pub fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.iter().find(|ticket| ticket.id == id)
    }

    fn remember(&mut self, exchange: Exchange) {
        // Of what lies further back only what was shown is of interest.
        if let Some(before) = self.recent.iter_mut().rev().nth(MAX_CONSIDERED - 1)
            && before.considered.iter().any(|considered| !considered.shown)
        {
            Arc::make_mut(before).considered.retain(|considered| considered.shown);
        }
        self.recent.push_back(Arc::new(exchange));
        let bytes = |e: &Arc<Exchange>| e.asked.len() + e.reply.text().map_or(0, |text| text.len());
        let mut total: usize = self.recent.iter().map(bytes).sum();
        while self.recent.len() > MAX_RECENT || (total > MAX_RECENT_BYTES && self.recent.len() > 1) {
            if let Some(oldest) = self.recent.pop_front() {
                total -= bytes(&oldest);
                note(&mut self.seen, oldest.cause);
            }
        }
    }

    fn put(&mut self, ticket: Ticket) {
        match self.tickets.iter_mut().find(|own| own.id == ticket.id) {
            Some(own) => *own = ticket,
            None => self.tickets.push(ticket),
        }
        while self.tickets.len() > MAX_TICKETS {
            let oldest = self.tickets.iter().position(|ticket| ticket.stage.is_over()).unwrap_or(0);
            self.tickets.remove(oldest);
        }
    }
}

fn note(seen: &mut VecDeque<Cause>, cause: Cause) {
    seen.push_back(cause);
    while seen.len() > MAX_SEEN {
        seen.pop_front();
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            customer_service: true,
            answer_within: Duration::from_secs(6 * 3600),
            max_per_minute: 20,
            max_open_tickets: 5,
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
    /// Its text.
    pub text: Text,
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
    /// The reply; `None` where none is due.
    pub reply: Option<Text>,
    /// Set when nothing was done: why.
    pub refusal: Option<Refusal>,
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
    /// The text does not fit into one WeChat message; how many bytes may it have.
    TooLong(usize),
}

/// What a happening leads to. Cannot fail; told twice it gives the same (the store sees to the rest).
pub fn step(office: &Office<'_>, now: Timestamp, memory: &Memory, happening: &Happening) -> Step {
    if let Some(step) = follower::tell_again(office, now, memory, happening.cause) {
        return step;
    }
    let mut turn = Turn::new(office, now, memory.clone(), happening);
    lapse::lapse(&mut turn);
    match &happening.event {
        Event::Said(text) => follower::said(&mut turn, text),
        Event::Sent(attachment) => follower::sent(&mut turn, attachment),
        Event::Unsupported => follower::unsupported(&mut turn),
        Event::Followed => follower::followed(&mut turn),
        Event::Unfollowed => follower::unfollowed(&mut turn),
        Event::Clicked(key) => follower::clicked(&mut turn, key),
        Event::Staff(act) => staff::act(&mut turn, act),
        Event::Delivered(delivery) => staff::delivered(&mut turn, *delivery),
        Event::Undeliverable { delivery, text, why, later } => {
            staff::undeliverable(&mut turn, *delivery, text, why, *later);
        }
        Event::TimePassed => {}
    }
    turn.finish()
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
    reply: Option<Text>,
    /// The entry whose answer the reply is.
    answer_of: Option<EntryId>,
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
            reply: None,
            answer_of: None,
            refusal: None,
            asked: None,
        }
    }

    /// The follower did something that gets a reply.
    fn hear(&mut self, asked: impl Into<Text>, is_event: bool) {
        self.asked = Some(Exchange {
            cause: self.cause,
            at: self.now,
            asked: asked.into(),
            reply: Reply::Silence,
            considered: Vec::new(),
            is_event,
        });
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
        Line { at: self.now, author, text: text.into(), delivery: None }
    }

    fn finish(mut self) -> Step {
        for change in &self.changes {
            self.memory.put(change.ticket.clone());
        }
        match self.asked.take() {
            Some(mut exchange) => {
                exchange.reply = match (self.reply.clone(), self.answer_of.take()) {
                    (None, _) => Reply::Silence,
                    (Some(text), None) => Reply::Words(text),
                    (Some(text), Some(entry)) => Reply::Answer(entry, Some(text)),
                };
                self.memory.remember(exchange);
            }
            None => note(&mut self.memory.seen, self.cause),
        }
        self.memory.wakes_at = lapse::next(&self.memory);
        Step {
            memory: self.memory,
            changes: self.changes,
            says: self.says,
            settles: self.settles,
            reply: self.reply,
            refusal: self.refusal,
        }
    }
}
