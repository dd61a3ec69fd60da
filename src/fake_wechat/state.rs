//! What the fake WeChat remembers: followers with their transcripts, rights and consents, what was set up, faults to come,
//! calls counted. Bounded in every direction; knows no HTTP.

use super::card::Card;
use super::media::Media;
use super::notices::Consent;
use super::quota::Quota;
use super::setup::Setup;
use super::templates::Template;
use super::tokens::Tokens;
use super::window::Rights;
use crate::clock::Timestamp;
use crate::wechat::OpenId;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

const MAX_FOLLOWERS: usize = 1000;
const MAX_BUBBLES: usize = 200;

/// One thing on a follower's screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bubble {
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub from: Side,
    /// What it says, all of it in words.
    pub text: String,
    /// How it came, if from the account.
    pub via: Option<Via>,
    /// Whether the grey "内容由第三方AI生成" stands under it.
    pub by_ai: bool,
    /// What it shows, where that is more than words.
    pub card: Option<Card>,
}

impl Bubble {
    pub(super) fn of(at: Timestamp, from: Side, text: impl Into<String>) -> Self {
        Self { at, from, text: text.into(), via: None, by_ai: false, card: None }
    }
}

/// Whose bubble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The follower's.
    Follower,
    /// The account's.
    Account,
    /// WeChat's own, in grey.
    System,
}

/// How the account's words came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// In the response to a push.
    Passive,
    /// By a customer-service message.
    Custom,
    /// By a subscribe notification.
    Subscribe,
    /// By a template message.
    Template,
}

/// A follower, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// WeChat's name for the person.
    pub openid: OpenId,
    /// The name on the phone.
    pub name: String,
    /// Whether the account is followed now.
    pub following: bool,
}

pub(super) struct Follower {
    pub(super) name: String,
    pub(super) following: bool,
    pub(super) rights: Rights,
    /// What was agreed to, by template.
    pub(super) consents: BTreeMap<String, Consent>,
    pub(super) transcript: VecDeque<Bubble>,
    /// How many bubbles there ever were.
    pub(super) n_shown: u64,
    /// The XML of the last push, for sending it again.
    pub(super) last_push: Option<String>,
    /// Whether that was an event: its answer may have more articles.
    pub(super) last_was_event: bool,
    pub(super) last_seen: Timestamp,
    pub(super) typing_until: Timestamp,
}

impl Follower {
    pub(super) fn show(&mut self, bubble: Bubble) {
        if self.transcript.len() >= MAX_BUBBLES {
            self.transcript.pop_front();
        }
        self.transcript.push_back(bubble);
        self.n_shown += 1;
    }

    /// A grey line.
    pub(super) fn note(&mut self, at: Timestamp, text: &str) {
        self.show(Bubble::of(at, Side::System, text));
    }
}

pub(super) struct State {
    followers: BTreeMap<OpenId, Follower>,
    pub(super) tokens: Tokens,
    pub(super) setup: Setup,
    pub(super) media: Media,
    pub(super) quota: Quota,
    pub(super) templates: Vec<Template>,
    pub(super) n_notices: u64,
    /// Events to push once the call under way has been answered: the XML from `<Event>` on.
    pub(super) after: Vec<(OpenId, String)>,
    pub(super) unverified: bool,
    pub(super) test_account: bool,
    pub(super) calls: HashMap<&'static str, u64>,
    /// How many calls are still to fail, and with what.
    pub(super) failing_calls: (u32, i64),
    pub(super) failing_tokens: (u32, i64),
    pub(super) failing_paths: HashMap<&'static str, (u32, i64)>,
    pub(super) latency: Duration,
    pub(super) webhook_url: String,
    /// Where this API is reached; empty as long as nobody said.
    pub(super) base_url: String,
}

impl State {
    pub(super) fn new(webhook_url: String) -> Self {
        Self {
            followers: BTreeMap::new(),
            tokens: Tokens::default(),
            setup: Setup::default(),
            media: Media::default(),
            quota: Quota::default(),
            templates: Template::defaults(),
            n_notices: 0,
            after: Vec::new(),
            unverified: false,
            test_account: false,
            calls: HashMap::new(),
            failing_calls: (0, 0),
            failing_tokens: (0, 0),
            failing_paths: HashMap::new(),
            latency: Duration::ZERO,
            webhook_url,
            base_url: String::new(),
        }
    }

    pub(super) fn follower(&mut self, who: &OpenId) -> Option<&mut Follower> {
        self.followers.get_mut(who)
    }

    pub(super) fn meet(&mut self, who: OpenId, name: &str, now: Timestamp) {
        if self.followers.contains_key(&who) {
            return;
        }
        if self.followers.len() >= MAX_FOLLOWERS {
            let silent = self.followers.iter().min_by_key(|(_, follower)| follower.last_seen);
            if let Some(silent) = silent.map(|(openid, _)| openid.clone()) {
                self.followers.remove(&silent);
            }
        }
        let follower = Follower {
            name: name.to_owned(),
            following: false,
            rights: Rights::default(),
            consents: BTreeMap::new(),
            transcript: VecDeque::new(),
            n_shown: 0,
            last_push: None,
            last_was_event: false,
            last_seen: now,
            typing_until: Timestamp::default(),
        };
        self.followers.insert(who, follower);
    }

    pub(super) fn people(&self) -> Vec<Person> {
        let person = |(openid, follower): (&OpenId, &Follower)| Person {
            openid: openid.clone(),
            name: follower.name.clone(),
            following: follower.following,
        };
        self.followers.iter().map(person).collect()
    }
}

/// The errcode of a fault that was ordered, if one is still to come.
pub(super) fn fault(failing: &mut (u32, i64)) -> Option<i64> {
    failing.0 = failing.0.checked_sub(1)?;
    Some(failing.1)
}
