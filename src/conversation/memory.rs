//! What is remembered of one follower: where the conversation stands, the last exchanges, what waits. Knows bounds; not
//! what is decided from it.

use super::{Cause, Channel, NoticeFate, Text};
use crate::clock::Timestamp;
use crate::knowledge::{EntryId, Place};
use crate::ticket::{Considered, DeliveryId, Enclosure, Profile, Stage, Ticket, TicketId};
use crate::window::Book;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

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
        /// The foreign place the question named: what does not hold there must not be shown as if it did.
        place: Option<Place>,
        /// What is no number goes to this ticket, which the follower has with staff.
        back: Option<TicketId>,
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

/// One message of the follower and what the bot said to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// What caused it.
    pub cause: Cause,
    /// When.
    pub at: Timestamp,
    /// The message.
    pub asked: Text,
    /// The file that came with it.
    pub enclosure: Option<Enclosure>,
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
    /// The answer of an entry, for somebody at that place. Its text, nearly all of what would have to be written, is not
    /// stored: after a restart it is made afresh.
    Answer(EntryId, Option<Place>, #[serde(skip)] Option<Text>),
}

impl Reply {
    /// What was said, as far as it is at hand.
    pub fn text(&self) -> Option<&Text> {
        match self {
            Self::Silence | Self::Answer(_, _, None) => None,
            Self::Words(text) | Self::Answer(_, _, Some(text)) => Some(text),
        }
    }

    /// The same with its text replaced.
    pub fn map(&self, change: impl FnOnce(&Text) -> Text) -> Self {
        match self {
            Self::Words(text) => Self::Words(change(text)),
            Self::Answer(entry, place, Some(text)) => {
                Self::Answer(entry.clone(), place.clone(), Some(change(text)))
            }
            other => other.clone(),
        }
    }
}

/// A message that waits for the follower's next word.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parked {
    /// Which.
    pub delivery: DeliveryId,
    /// The ticket it belongs to.
    pub ticket: TicketId,
    /// Its text, where it has to go in a reply: the account may not send by itself.
    pub in_reply: Option<Text>,
}

/// A leave the follower gave to send notices by a template (订阅通知).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consent {
    /// The template's id.
    pub template: Text,
    /// For so many notices.
    pub n: u8,
}

/// A notice WeChat took, of which it has not said whether it arrived.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSent {
    /// The message it was sent for.
    pub delivery: DeliveryId,
    /// How.
    pub channel: Channel,
    /// By what WeChat's word about it is known: its message id, or its template.
    pub known_by: Text,
}

/// An answer that can still be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Its ticket.
    pub ticket: TicketId,
    /// Its messages.
    pub deliveries: Vec<DeliveryId>,
    /// It leaves at that moment.
    pub until: Timestamp,
    /// How the ticket stood before, without its history.
    pub before: Box<Ticket>,
    /// The stage the answer brought it to.
    pub stage: Stage,
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
    /// Own tickets that are over and not at hand any more, oldest first.
    pub past: Vec<TicketId>,
    /// What waits for the follower's next word.
    pub parked: VecDeque<Parked>,
    /// Replies that had to make room for what was parked; they wait for 继续.
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
    /// What the account may still send by itself.
    pub window: Book,
    /// The scene of the QR code scanned last, and when.
    pub scene: Option<(Text, Timestamp)>,
    /// Leaves to send notices.
    pub consents: Vec<Consent>,
    /// Notices on their way.
    pub notices: VecDeque<NoticeSent>,
    /// What WeChat said of notices before it was noted that they were sent.
    pub early: VecDeque<NoticeFate>,
    /// Who they are, as far as staff know.
    pub profile: Profile,
    /// Answers that can still be taken back.
    pub revocable: Vec<Held>,
}

/// How many exchanges, and how many bytes of them, are remembered.
const MAX_RECENT: usize = 20;
const MAX_RECENT_BYTES: usize = 20 * 1024;
/// In how many of them all that was considered is kept.
const MAX_CONSIDERED: usize = 3;
const MAX_SEEN: usize = 32;
/// How many own tickets are at hand.
const MAX_TICKETS: usize = 24;
/// How many others are known by name, so that they can be erased; nobody has opened so many.
const MAX_PAST: usize = 2_000;
/// How many replies wait for 继续.
const MAX_MORE: usize = 4;

impl Memory {
    /// The saved reply if this cause has been dealt with: `Some(None)` where the reply was silence.
    pub fn replied(&self, cause: Cause) -> Option<Option<Text>> {
        if let Some(exchange) = self.recent.iter().rev().find(|exchange| exchange.cause == cause) {
            let lost = matches!(exchange.reply, Reply::Answer(_, _, None));
            return (!lost).then(|| exchange.reply.text().cloned());
        }
        let opened = self.tickets.iter().any(|ticket| ticket.id == cause.ticket());
        (opened || self.seen.contains(&cause)).then_some(None)
    }

    /// The ticket of that name, if it is at hand.
    pub fn ticket(&self, id: TicketId) -> Option<&Ticket> {
        self.tickets.iter().find(|ticket| ticket.id == id)
    }

    /// Nothing more is written to this ticket: it is closed, or not at hand.
    pub(super) fn is_over(&self, id: TicketId) -> bool {
        self.ticket(id).is_none_or(|ticket| ticket.stage.is_over())
    }

    pub(super) fn remember(&mut self, exchange: Exchange) {
        // Of what lies further back only what was shown is of interest.
        if let Some(before) = self.recent.iter_mut().rev().nth(MAX_CONSIDERED - 1)
            && before.considered.iter().any(|considered| !considered.shown)
        {
            Arc::make_mut(before).considered.retain(|considered| considered.shown);
        }
        // Room is made first: a full queue that is copied each turn must not grow each turn.
        if self.recent.len() >= MAX_RECENT
            && let Some(oldest) = self.recent.pop_front()
        {
            note(&mut self.seen, oldest.cause);
        }
        self.recent.push_back(Arc::new(exchange));
        let bytes = |e: &Arc<Exchange>| e.asked.len() + e.reply.text().map_or(0, |text| text.len());
        let mut total: usize = self.recent.iter().map(bytes).sum();
        while total > MAX_RECENT_BYTES && self.recent.len() > 1 {
            if let Some(oldest) = self.recent.pop_front() {
                total -= bytes(&oldest);
                note(&mut self.seen, oldest.cause);
            }
        }
    }

    pub(super) fn put(&mut self, ticket: Ticket) {
        match self.tickets.iter_mut().find(|own| own.id == ticket.id) {
            Some(own) => *own = ticket,
            None => self.tickets.push(ticket),
        }
        while self.tickets.len() > MAX_TICKETS
            && let Some(oldest) = self.tickets.iter().position(|ticket| ticket.stage.is_over())
        {
            self.past.push(self.tickets.remove(oldest).id);
        }
    }

    /// The ticket that ended last, if it was lately, the follower has seen its answer and has not said how it was: what
    /// they write within seven days belongs to it, unless the bot knows an answer.
    pub(super) fn ended_lately(&self, now: Timestamp, within: Duration) -> Option<TicketId> {
        let ended = |ticket: &Ticket| match ticket.stage {
            Stage::Answered => ticket.answered_at,
            Stage::Closed => ticket.closed_at,
            _ => None,
        };
        let lately = self.tickets.iter().filter_map(|ticket| Some((ended(ticket)?, ticket.id)));
        let lately = lately.filter(|(at, id)| now.since(*at) <= within && !self.is_unseen(*id));
        lately.max_by_key(|(at, _)| *at).map(|(_, id)| id)
    }

    /// Another ticket can be kept at hand: one that is not over is never let go, or nothing could be done to it.
    pub(super) fn has_room_for_a_ticket(&self) -> bool {
        let n_current = self.tickets.iter().filter(|ticket| !ticket.stage.is_over()).count();
        n_current < MAX_TICKETS && self.past.len() < MAX_PAST
    }

    /// The ticket to which what the follower writes belongs, in any state.
    pub(super) fn held(&self) -> Option<TicketId> {
        match self.state {
            State::Answering => None,
            State::Choosing { back, .. } => back,
            State::WithStaff(id) | State::Rating { ticket: id, .. } => Some(id),
        }
    }

    /// What the follower writes next belongs to this ticket; a choice stays open beside it.
    pub(super) fn hold(&mut self, id: TicketId) {
        match &mut self.state {
            State::Choosing { back, .. } => *back = Some(id),
            state => *state = State::WithStaff(id),
        }
    }

    /// A message to the follower about this ticket has not arrived yet.
    pub(super) fn is_unseen(&self, id: TicketId) -> bool {
        self.parked.iter().any(|parked| parked.ticket == id)
    }

    /// How many messages wait to go into replies.
    pub(super) fn n_for_replies(&self) -> usize {
        self.parked.iter().filter(|parked| parked.in_reply.is_some()).count()
    }

    /// A reply waits for 继续.
    pub(super) fn keep_for_later(&mut self, reply: Text) {
        self.more.push_back(reply);
        while self.more.len() > MAX_MORE {
            self.more.pop_front();
        }
    }
}

/// Notes a cause, forgetting the oldest.
pub(super) fn note(seen: &mut VecDeque<Cause>, cause: Cause) {
    while seen.len() >= MAX_SEEN {
        seen.pop_front();
    }
    seen.push_back(cause);
}
