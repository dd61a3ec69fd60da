//! The desk: recall → step → commit, again if somebody was faster. The only road from a happening to the store.
//! Knows the order of things; what is decided is `conversation`'s business, what is kept is `store`'s.

use crate::audit::Deed;
use crate::calendar::Calendar;
use crate::clock::{Clock, Timestamp};
use crate::conversation::{
    self, Act, Cause, Event, Happening, Intake, Office, Refusal, Relay, Settings, StaffAct, Text,
};
use crate::finding::Finding;
use crate::knowledge::replies::CannedReply;
use crate::knowledge::{Asked, Knowledge};
use crate::live::Live;
use crate::mailroom::{Arrival, Mailroom};
use crate::store::{Commit, Result, Store, StoreError, Turn};
use crate::thinker::Thinker;
use crate::ticket::{Change, FollowerId, Number, Stage, Ticket, TicketId};
use arc_swap::ArcSwap;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// What the office knows and when it works; replaced as a whole when a file changes.
#[derive(Debug)]
pub struct Handbook {
    /// The entries.
    pub knowledge: Knowledge,
    /// The working hours.
    pub calendar: Calendar,
    /// What staff say again and again.
    pub replies: Vec<CannedReply>,
}

/// The desk. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    store: Arc<dyn Store>,
    handbook: Arc<ArcSwap<Handbook>>,
    settings: Arc<Settings>,
    thinker: Arc<Thinker>,
    clock: Clock,
    courier: Arc<Notify>,
    gone: Arc<Gone>,
    live: Arc<Live>,
    /// Where tickets are found by their words; `None` where nothing is looked for.
    finding: Option<Arc<Finding>>,
    /// Where files arrive and are kept; `None` where there are none.
    post: Option<(Arc<Mailroom>, mpsc::Sender<Arrival>)>,
}

/// Who left a moment ago. WeChat may still deliver what they did before: it must not make them known again.
struct Gone {
    /// By a hash that tells nobody the openid, and until when; oldest first.
    until: Mutex<VecDeque<(u128, Timestamp)>>,
    salt: u128,
}

/// How long WeChat repeats (PROTOCOL §5: about 15 s), and some more.
const LATE: Duration = Duration::from_secs(120);
const MAX_GONE: usize = 4_096;

impl Gone {
    /// Without randomness followers cannot be named either; nothing is heard then.
    fn new() -> Self {
        Self { until: Mutex::default(), salt: random_u128().unwrap_or_default() }
    }

    fn name(&self, openid: &str) -> u128 {
        cause(&["gone", &self.salt.to_string(), openid]).0
    }

    /// Those who left and were not forgotten yet.
    fn at(&self, now: Timestamp) -> MutexGuard<'_, VecDeque<(u128, Timestamp)>> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        while until.front().is_some_and(|(_, until)| *until <= now) {
            until.pop_front();
        }
        until
    }

    fn note(&self, openid: &str, now: Timestamp) {
        let mut until = self.at(now);
        if until.len() >= MAX_GONE {
            until.pop_front();
        }
        until.push_back((self.name(openid), now.after(LATE)));
    }

    fn has(&self, openid: &str, now: Timestamp) -> bool {
        let until = self.at(now);
        !until.is_empty() && {
            let name = self.name(openid);
            until.iter().any(|(gone, _)| *gone == name)
        }
    }

    fn is_back(&self, openid: &str, now: Timestamp) {
        let name = self.name(openid);
        self.at(now).retain(|(gone, _)| *gone != name);
    }
}

/// A turn loses to at most so many others of the same follower before it is given up; WeChat then asks again.
const MAX_ATTEMPTS: usize = 100;

impl Desk {
    /// A desk over a store.
    pub fn new(
        store: Arc<dyn Store>,
        handbook: Arc<ArcSwap<Handbook>>,
        settings: Settings,
        thinker: Arc<Thinker>,
        clock: Clock,
    ) -> Self {
        let (settings, courier) = (Arc::new(settings), Arc::new(Notify::new()));
        let gone = Arc::new(Gone::new());
        let live = Arc::new(Live::new((gone.salt >> 32) as u32));
        Self { store, handbook, settings, thinker, clock, courier, gone, live, finding: None, post: None }
    }

    /// The same with a mailroom, which is told of files through `arrivals`.
    pub fn with_mailroom(self, mailroom: Arc<Mailroom>, arrivals: mpsc::Sender<Arrival>) -> Self {
        Self { post: Some((mailroom, arrivals)), ..self }
    }

    /// The same with an index of tickets, which is told of what changes.
    pub fn with_finding(self, finding: Arc<Finding>) -> Self {
        Self { finding: Some(finding), ..self }
    }

    /// Where tickets are found by their words.
    pub fn finding(&self) -> Option<&Arc<Finding>> {
        self.finding.as_ref()
    }

    /// Where files are.
    pub fn mailroom(&self) -> Option<&Arc<Mailroom>> {
        self.post.as_ref().map(|(mailroom, _)| mailroom)
    }

    /// What happens now, for pages that are open.
    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// The store, for reading.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// What the office knows now.
    pub fn handbook(&self) -> Arc<Handbook> {
        self.handbook.load_full()
    }

    /// How the office is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Woken when a message may have become due.
    pub fn courier_bell(&self) -> Arc<Notify> {
        self.courier.clone()
    }

    /// What time it is at the desk.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Something a follower did, at WeChat's door. The reply is safe to send: it is as durable as it must be.
    pub async fn hear(&self, openid: &str, key: &str, event: Event) -> Result<Option<Text>> {
        let now = self.clock.now();
        let follower = match event {
            Event::Left => {
                // Who is not known need not be forgotten, and is not noted for it.
                let Some(follower) = self.store.known_follower(openid).await? else { return Ok(None) };
                self.gone.note(openid, now);
                follower
            }
            // Late words of WeChat's make nobody known.
            _ if is_afterwards(&event) => {
                let Some(follower) = self.store.known_follower(openid).await? else { return Ok(None) };
                follower
            }
            _ => {
                if self.gone.has(openid, now) {
                    if !matches!(event, Event::Followed { .. }) {
                        return Ok(None);
                    }
                    self.gone.is_back(openid, now);
                }
                self.store.follower(openid, FollowerId(random_u128()?)).await?
            }
        };
        let happening = Happening { cause: cause(&["wechat", key]), follower, event };
        let done = self.happen(&happening, None).await?;
        if happening.event == Event::Left {
            // Words of theirs may be among the questions asked last.
            self.handbook.load().knowledge.forget_questions();
        }
        self.relay_after(&done).await;
        Ok(done.reply)
    }

    /// Something a member of staff did; `key` is their form's, so that a double click counts once.
    pub async fn act(&self, key: &str, act: StaffAct) -> Result<std::result::Result<(), Refusal>> {
        let Some(ticket) = self.store.ticket(act.ticket).await? else { return Ok(Err(Refusal::Gone)) };
        let number = ticket.number.map(|number| format!("{}-{number}", number.year)).unwrap_or_default();
        let deed = Deed::new(self.clock.now(), &act.by, act.act.name(), &number);
        let cause = cause(&["form", key]);
        let describes = matches!(act.act, Act::Describe(_));
        let happening = Happening { cause, follower: ticket.follower, event: Event::Staff(act) };
        let done = self.happen(&happening, Some(deed)).await?;
        self.relay_after(&done).await;
        if let Some(finding) = self.finding.as_ref().filter(|_| describes) {
            // All of their tickets are found by it.
            let memory = self.store.recall(ticket.follower).await?;
            memory.tickets.iter().for_each(|ticket| finding.note(ticket.id));
        }
        Ok(done.refusal.map_or(Ok(()), Err))
    }

    /// Somebody called or came by, and a member of staff wrote it down; the ticket it became. Who asks gets a name that
    /// follows from the form, so that a double click is one asker and one ticket.
    pub async fn lodge(&self, key: &str, intake: Intake) -> Result<std::result::Result<TicketId, Refusal>> {
        let deed = Deed::new(self.clock.now(), &intake.by, "登记来电来访", "");
        let follower = FollowerId(cause(&["caller", key]).0);
        let happening = Happening { cause: cause(&["form", key]), follower, event: Event::Lodged(intake) };
        let done = self.happen(&happening, Some(deed)).await?;
        if let Some(refusal) = done.refusal {
            return Ok(Err(refusal));
        }
        let memory = self.store.recall(follower).await?;
        Ok(memory.tickets.first().map(|ticket| ticket.id).ok_or(Refusal::Gone))
    }

    /// Something the courier found out, or the clock brought; `key` makes it unique among the follower's.
    pub async fn note(&self, follower: FollowerId, key: &str, event: Event) -> Result<()> {
        let cause = cause(&["note", &follower.0.to_string(), key]);
        self.happen(&Happening { cause, follower, event }, None).await.map(drop)
    }

    /// What turns of others have left to be done: each is a turn of the follower it concerns. What a crash interrupts is done
    /// by the next look; under the same cause it counts once. One that fails keeps no other; it is tried again by the next look.
    pub async fn relay(&self) -> Result<()> {
        const MAX_ROUNDS: usize = 8;
        for _ in 0..MAX_ROUNDS {
            let mut n_done = 0;
            for (seq, relay) in self.store.relays(64).await? {
                let event = Event::Relayed(relay.what.clone());
                let happening = Happening { cause: relay.cause, follower: relay.follower, event };
                let done = match self.happen(&happening, None).await {
                    Ok(_) => self.after_relay(&relay).await,
                    Err(error) => Err(error),
                };
                match done {
                    Ok(()) => self.store.relayed(seq).await?,
                    Err(error) => {
                        tracing::error!(%error, "what concerns another follower's ticket could not be done");
                        continue;
                    }
                }
                n_done += 1;
            }
            if n_done == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whoever has left takes nothing in: who waits for them is told.
    async fn after_relay(&self, relay: &Relay) -> Result<()> {
        let Some(back) = relay.in_vain() else { return Ok(()) };
        let ticket = self.store.ticket(relay.ticket()).await?;
        if ticket.is_some_and(|ticket| ticket.stage != Stage::Left) {
            return Ok(());
        }
        let event = Event::Relayed(back.what);
        self.happen(&Happening { cause: back.cause, follower: back.follower, event }, None).await.map(drop)
    }

    /// The turn itself is done, whatever becomes of what it leads to elsewhere.
    async fn relay_after(&self, done: &Done) {
        if done.relays
            && let Err(error) = self.relay().await
        {
            tracing::error!(%error, "what concerns other followers' tickets could not be done; it is tried again");
        }
    }

    async fn happen(&self, happening: &Happening, deed: Option<Deed>) -> Result<Done> {
        let memory = self.store.recall(happening.follower).await?;
        let vector = match conversation::question(&self.settings, self.clock.now(), &memory, happening) {
            Some(question) if self.wants_vector(question) => self.thinker.vector(question).await,
            _ => None,
        };
        for _ in 0..MAX_ATTEMPTS {
            let memory = self.store.recall(happening.follower).await?;
            let now = self.clock.now();
            let step = {
                let handbook = self.handbook.load();
                let office = Office {
                    knowledge: &handbook.knowledge,
                    calendar: &handbook.calendar,
                    settings: &self.settings,
                    vector: vector.as_deref(),
                };
                conversation::step(&office, now, &memory, happening)
            };
            // A form sent twice was done the first time: its own lines must not count against it, and the second answer
            // waits, like the first, until it is on disk.
            if let Some(refusal) = step.refusal.clone().filter(|_| memory.replied(happening.cause).is_none())
            {
                return Ok(Done { reply: None, refusal: Some(refusal), relays: false });
            }
            let relays = !step.relays.is_empty();
            // Those who saw it before hear of it, too.
            let before = step.changes.iter().filter_map(|change| memory.ticket(change.ticket.id));
            let changed: Vec<Ticket> =
                before.chain(step.changes.iter().map(|change| &change.ticket)).cloned().collect();
            let promises = !step.says.is_empty() || !step.settles.is_empty();
            let (arrived, erased) = (arrivals(&step), step.erases.clone());
            let gone = erased.clone().unwrap_or_default();
            let turn = Turn {
                cause: happening.cause,
                follower: happening.follower,
                made_from: memory.version,
                at: now,
                step,
                deed: deed.clone(),
            };
            match self.store.commit(turn).await? {
                Commit::Done(reply) => {
                    self.post(arrived, erased).await?;
                    if promises {
                        self.courier.notify_one();
                    }
                    self.tell(&changed, &gone).await?;
                    return Ok(Done { reply, refusal: None, relays });
                }
                Commit::Repeated(reply) => {
                    // What a first time left undone of an erasure.
                    self.post(Vec::new(), erased).await?;
                    return Ok(Done { reply, refusal: None, relays });
                }
                Commit::Stale => {}
            }
        }
        Err(StoreError::Io("同一用户的消息太多，稍后再试".into()))
    }

    /// Pages that are open hear of what changed, and it can be found as it is now.
    async fn tell(&self, changed: &[Ticket], gone: &[TicketId]) -> Result<()> {
        changed.iter().for_each(|ticket| self.live.announce(ticket));
        for id in gone {
            self.store.ticket(*id).await?.iter().for_each(|husk| self.live.announce(husk));
        }
        if let Some(finding) = &self.finding {
            changed
                .iter()
                .map(|ticket| ticket.id)
                .chain(gone.iter().copied())
                .for_each(|id| finding.note(id));
        }
        Ok(())
    }

    /// Has files fetched that arrived, and removes those of tickets that were erased before the turn is acknowledged.
    async fn post(&self, arrived: Vec<Arrival>, erased: Option<Vec<TicketId>>) -> Result<()> {
        let Some((mailroom, arrivals)) = &self.post else { return Ok(()) };
        for arrival in arrived {
            // With too many waiting, whoever looks at it fetches it.
            let _ = arrivals.try_send(arrival);
        }
        match erased {
            Some(tickets) => {
                mailroom.forget(tickets).await.map_err(|error| StoreError::Io(error.to_string()))
            }
            None => Ok(()),
        }
    }

    /// Whether the words of a question alone do not decide.
    fn wants_vector(&self, question: &str) -> bool {
        self.handbook.load().knowledge.wants_vector(question, self.clock.now().date())
    }

    /// What would come of a first message, and what was weighed; nothing happens.
    pub async fn rehearse(&self, text: &str) -> (Arc<Asked>, String) {
        // Who tries the knowledge out is to see what it can do, not what it does under load.
        let vector = if self.wants_vector(text) { self.thinker.vector_patiently(text).await } else { None };
        let (handbook, now) = (self.handbook.load_full(), self.clock.now());
        let office = Office {
            knowledge: &handbook.knowledge,
            calendar: &handbook.calendar,
            settings: &self.settings,
            vector: vector.as_deref(),
        };
        let asked = handbook.knowledge.ask(text, vector.as_deref(), now.date());
        let number = Number::new(now.date(), 1).to_string();
        (asked, conversation::rehearse(&office, now, text, &number))
    }

    /// The sentence model at work.
    pub fn thinker(&self) -> &Thinker {
        &self.thinker
    }

    /// Lets everything lapse whose time has come; tells how many followers it concerned.
    pub async fn lapse(&self) -> Result<usize> {
        let due = self.store.due_lapses(self.clock.now(), 256).await?;
        for (follower, at) in &due {
            // One memory that cannot be read must not keep all others from lapsing.
            if let Err(error) = self.note(*follower, &format!("lapse {}", at.0), Event::TimePassed).await {
                tracing::error!(%error, follower = %follower.0, "a lapse failed");
            }
        }
        Ok(due.len())
    }

    /// A ticket and all its lines, read together with how many there are.
    pub async fn ticket(
        &self,
        id: TicketId,
    ) -> Result<Option<(crate::ticket::Ticket, Vec<crate::ticket::Line>)>> {
        let Some(ticket) = self.store.ticket(id).await? else { return Ok(None) };
        let mut lines = self.store.lines(id).await?;
        // A line that came in between is left for the next look, so that "seen" and what was shown agree.
        lines.truncate(ticket.n_lines as usize);
        Ok(Some((ticket, lines)))
    }
}

/// What came of a happening.
struct Done {
    reply: Option<Text>,
    /// Why nothing was done.
    refusal: Option<Refusal>,
    /// Something has to happen to others' tickets.
    relays: bool,
}

/// What is only of interest where the follower is known: the fate of a notice, a leave taken back.
fn is_afterwards(event: &Event) -> bool {
    match event {
        Event::Noticed(_) => true,
        Event::Consented(templates) => templates.iter().all(|(_, allowed)| !allowed),
        _ => false,
    }
}

/// Files that a step's new lines name and that lie at WeChat.
fn arrivals(step: &conversation::Step) -> Vec<Arrival> {
    let of_change = |change: &Change| {
        let ticket = change.ticket.id;
        let enclosed = change.lines.iter().filter_map(|line| line.enclosure.clone());
        let from_wechat = enclosed.filter(|enclosure| enclosure.from.is_some());
        from_wechat.map(|enclosure| Arrival { ticket, enclosure }).collect::<Vec<_>>()
    };
    step.changes.iter().flat_map(of_change).collect()
}

/// 128 bits of SHA-256 over the parts, each with its length, so that no two lists of parts meet.
fn cause(parts: &[&str]) -> Cause {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let bytes: [u8; 32] = hash.finalize().into();
    let mut first = [0; 16];
    first.copy_from_slice(&bytes[..16]);
    Cause(u128::from_be_bytes(first))
}

fn random_u128() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| StoreError::Io(error.to_string()))?;
    Ok(u128::from_be_bytes(bytes))
}
