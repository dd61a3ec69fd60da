//! What the fake WeChat remembers: followers with their transcripts and rights, what was set up, faults to come, calls counted. Bounded
//! in every direction; knows no HTTP.

use super::checks::Checks;
use super::setup::Setup;
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
    /// What it says.
    pub text: String,
    /// How it came, if from the account.
    pub via: Option<Via>,
    /// Whether the grey "内容由第三方AI生成" stands under it.
    pub by_ai: bool,
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
    pub(super) transcript: VecDeque<Bubble>,
    /// The XML of the last push, for sending it again.
    pub(super) last_push: Option<String>,
    pub(super) last_seen: Timestamp,
    pub(super) typing_until: Timestamp,
}

impl Follower {
    pub(super) fn show(&mut self, bubble: Bubble) {
        if self.transcript.len() >= MAX_BUBBLES {
            self.transcript.pop_front();
        }
        self.transcript.push_back(bubble);
    }

    /// A grey line.
    pub(super) fn note(&mut self, at: Timestamp, text: &str) {
        self.show(Bubble { at, from: Side::System, text: text.to_owned(), via: None, by_ai: false });
    }
}

pub(super) struct State {
    followers: BTreeMap<OpenId, Follower>,
    pub(super) tokens: Tokens,
    pub(super) setup: Setup,
    pub(super) checks: Checks,
    pub(super) calls: HashMap<&'static str, u64>,
    /// How many calls are still to fail, and with what.
    pub(super) failing_calls: (u32, i64),
    pub(super) failing_tokens: (u32, i64),
    pub(super) latency: Duration,
    pub(super) webhook_url: String,
}

impl State {
    pub(super) fn new(webhook_url: String) -> Self {
        Self {
            followers: BTreeMap::new(),
            tokens: Tokens::default(),
            setup: Setup::default(),
            checks: Checks::default(),
            calls: HashMap::new(),
            failing_calls: (0, 0),
            failing_tokens: (0, 0),
            latency: Duration::ZERO,
            webhook_url,
        }
    }

    pub(super) fn follower(&mut self, who: &OpenId) -> Option<&mut Follower> {
        self.followers.get_mut(who)
    }

    pub(super) fn meet(&mut self, who: OpenId, name: &str, now: Timestamp) {
        if let Some(known) = self.followers.get_mut(&who) {
            known.following = true;
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
            following: true,
            rights: Rights::default(),
            transcript: VecDeque::new(),
            last_push: None,
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
