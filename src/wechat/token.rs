//! The access token every call needs (PROTOCOL.md §6): fetched once for all who wait, renewed before it ends, fetched
//! again when WeChat disowns it, and not asked for while only an operator can help. Knows nothing of messages.

use super::outcome::{self, CallError, Trouble};
use super::wire::Wire;
use crate::clock::{Clock, Timestamp};
use crate::config::Secret;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const PATH: &str = "/cgi-bin/stable_token";
/// Renewed when less is left; the platform makes a new one at the same moment.
const EARLY: Duration = Duration::from_secs(300);
/// Up to so much later, so that services that began together do not all ask together.
const JITTER: Duration = Duration::from_secs(60);
/// WeChat wants force_refresh no more often than this; ordinary renewals are held to it too.
const PACE: Duration = Duration::from_secs(30);
const FORCED_A_DAY: usize = 20;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Why there is no token, and when to come back.
#[derive(Clone)]
pub(super) struct Failure {
    pub(super) why: String,
    pub(super) after: Option<Duration>,
}

/// Whom a pause stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// Only fetching: a token that is still good goes on being used.
    Fetching,
    /// Every call.
    Everything,
}

/// One account's token.
pub(super) struct Tokens {
    app_id: String,
    secret: Secret,
    clock: Clock,
    state: Mutex<State>,
    /// Held by whoever is fetching; never held together with `state` across an await.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    cached: Option<Cached>,
    /// Counts finished fetches, so that who waited for one takes its result.
    n_fetched: u64,
    last_failure: Option<Failure>,
    /// WeChat's errcode in the last fetch, where it answered with one.
    last_code: Option<i64>,
    renew_not_before: Timestamp,
    forced: VecDeque<Timestamp>,
    pause: Option<Pause>,
    trouble: Option<(Stops, Trouble)>,
}

struct Pause {
    stops: Stops,
    until: Timestamp,
    why: String,
}

#[derive(Clone)]
struct Cached {
    value: Arc<str>,
    ends: Timestamp,
    /// Renewed when less than this is left.
    early: Duration,
}

#[derive(Serialize)]
struct Ask<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

impl Tokens {
    pub(super) fn new(app_id: String, secret: Secret, clock: Clock) -> Self {
        Self { app_id, secret, clock, state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    /// A token to call with: the cached one as long as it lasts.
    pub(super) async fn current(&self, wire: &Wire) -> Result<Arc<str>, Failure> {
        let now = self.clock.now();
        let cached = {
            let state = self.state();
            state.paused(now, Stops::Everything)?;
            state.cached.clone().filter(|cached| now < cached.ends)
        };
        let Some(cached) = cached else { return self.fetch(wire, None, false).await };
        if cached.ends.since(now) < cached.early {
            // Who finds the turn taken goes on with the old token, as does this one when the new does not come.
            if let Some(_turn) = self.turn.try_lock().ok().filter(|_| self.state().may_renew(now)) {
                return Ok(self.ask(wire, false).await.unwrap_or(cached.value));
            }
        }
        Ok(cached.value)
    }

    /// A token in place of `bad`, which WeChat disowned; no call is made when the cache has moved on already. `force`
    /// makes WeChat discard its own copy too, as often as it allows.
    pub(super) async fn instead_of(&self, wire: &Wire, bad: &str, force: bool) -> Result<Arc<str>, Failure> {
        self.fetch(wire, Some(bad), force).await
    }

    /// Fetches one whatever is cached or paused; the platform gives the same again as long as it is good.
    pub(super) async fn anew(&self, wire: &Wire) -> Result<(), CallError> {
        let _turn = self.turn.lock().await;
        self.state().pause = None;
        let fetched = self.ask(wire, false).await;
        fetched.map(drop).map_err(|failure| CallError { code: self.state().last_code, ..failure.into() })
    }

    async fn fetch(&self, wire: &Wire, bad: Option<&str>, force: bool) -> Result<Arc<str>, Failure> {
        let n_before = self.state().n_fetched;
        let _turn = self.turn.lock().await;
        {
            let now = self.clock.now();
            let mut state = self.state();
            let waited = state.n_fetched != n_before;
            // Who waited for an ordinary fetch takes what it brought, even the same again.
            let good = |token: &Cached| bad.is_none_or(|bad| *token.value != *bad) || (waited && !force);
            if let Some(cached) = state.cached.as_ref().filter(|cached| now < cached.ends && good(cached)) {
                return Ok(cached.value.clone());
            }
            if let Some(failure) = state.last_failure.as_ref().filter(|_| waited) {
                return Err(failure.clone());
            }
            state.paused(now, Stops::Fetching)?;
            if force {
                state.may_force(now)?;
            }
        }
        self.ask(wire, force).await
    }

    /// Fetches; whoever calls this holds the turn.
    async fn ask(&self, wire: &Wire, force: bool) -> Result<Arc<str>, Failure> {
        let ask = Ask {
            grant_type: "client_credential",
            appid: &self.app_id,
            secret: self.secret.expose(),
            force_refresh: force,
        };
        let answer = wire.post(PATH, &ask).await;
        let now = self.clock.now();
        let mut state = self.state();
        state.n_fetched += 1;
        state.renew_not_before = now.after(PACE);
        state.last_code = answer.as_ref().ok().and_then(|answer| answer.errcode);
        let result = match answer {
            Err(why) => Err(Failure { why, after: None }),
            Ok(answer) => match (answer.errcode.unwrap_or_default(), answer.access_token) {
                (0, Some(token)) if !token.is_empty() => {
                    let lasts = Duration::from_secs(answer.expires_in.unwrap_or(7200).min(7200));
                    Ok(Cached { value: token.into(), ends: now.after(lasts), early: early() })
                }
                (code, _) => match outcome::judge_token(code, &answer.errmsg) {
                    Some((sentence, pause)) => Err(state.pause(now, Stops::Fetching, sentence, pause)),
                    None => Err(Failure {
                        why: "微信系统繁忙，未取得 access_token".to_owned(), after: None
                    }),
                },
            },
        };
        state.last_failure = result.as_ref().err().cloned();
        let cached = result?;
        state.recovered(Stops::Fetching);
        state.cached = Some(cached.clone());
        Ok(cached.value)
    }

    /// Stops every call for `after`, because only an operator can help.
    pub(super) fn halt(&self, sentence: String, after: Duration) -> Failure {
        self.state().pause(self.clock.now(), Stops::Everything, sentence, after)
    }

    /// Shows a trouble without stopping anything.
    pub(super) fn complain(&self, sentence: &str) {
        self.state().complain(self.clock.now(), Stops::Everything, sentence.to_owned());
    }

    /// A call went through: whatever was wrong is over.
    pub(super) fn all_well(&self) {
        let mut state = self.state();
        state.recovered(Stops::Fetching);
        state.recovered(Stops::Everything);
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.state().trouble.as_ref().map(|(_, trouble)| trouble.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long before its end a token is renewed. Without randomness all renew together, which only costs WeChat.
fn early() -> Duration {
    let mut byte = [0_u8];
    let _ = getrandom::fill(&mut byte);
    EARLY - JITTER.mul_f64(f64::from(byte[0]) / 255.0)
}

impl State {
    /// Whether something that `what` would stop is stopped now.
    fn paused(&self, now: Timestamp, what: Stops) -> Result<(), Failure> {
        let hit = |pause: &&Pause| {
            now < pause.until && (pause.stops == Stops::Everything || what == Stops::Fetching)
        };
        match self.pause.as_ref().filter(hit) {
            Some(pause) => Err(Failure { why: pause.why.clone(), after: Some(pause.until.since(now)) }),
            None => Ok(()),
        }
    }

    fn pause(&mut self, now: Timestamp, stops: Stops, sentence: String, after: Duration) -> Failure {
        self.complain(now, stops, sentence.clone());
        self.pause = Some(Pause { stops, until: now.after(after), why: sentence.clone() });
        Failure { why: sentence, after: Some(after) }
    }

    fn complain(&mut self, now: Timestamp, stops: Stops, sentence: String) {
        let since = self.trouble.as_ref().filter(|(was, _)| *was == stops).map_or(now, |(_, old)| old.since);
        if self.trouble.as_ref().is_none_or(|(was, _)| *was != stops) {
            tracing::warn!("微信接口：{sentence}");
        }
        self.trouble = Some((stops, Trouble { since, sentence }));
    }

    fn recovered(&mut self, from: Stops) {
        self.pause.take_if(|pause| pause.stops == from);
        self.trouble.take_if(|(stops, _)| *stops == from);
    }

    fn may_renew(&self, now: Timestamp) -> bool {
        now >= self.renew_not_before && self.paused(now, Stops::Fetching).is_ok()
    }

    /// Counts a forced refresh, if WeChat's limits allow one.
    fn may_force(&mut self, now: Timestamp) -> Result<(), Failure> {
        while self.forced.front().is_some_and(|at| now.since(*at) >= DAY) {
            self.forced.pop_front();
        }
        let since_last = self.forced.back().map(|at| now.since(*at));
        if let Some(wait) =
            since_last.and_then(|since| PACE.checked_sub(since)).filter(|wait| !wait.is_zero())
        {
            return Err(Failure {
                why: "微信不认 access_token，稍后再强制刷新".to_owned(),
                after: Some(wait),
            });
        }
        if self.forced.len() >= FORCED_A_DAY {
            let wait = self.forced.front().map(|first| first.after(DAY).since(now));
            return Err(Failure {
                why: "微信不认 access_token，今日强制刷新次数已用完".to_owned(),
                after: wait,
            });
        }
        self.forced.push_back(now);
        Ok(())
    }
}
