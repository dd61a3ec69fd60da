//! Calls with the account's token (PROTOCOL.md §6), which other files here describe: the token is handled and every answer
//! sorted by what to do. Knows nothing of what is called or sent, of windows, or of retries over time.

use super::outcome::{self, CallError, Outcome, Trouble, Verdict, Way};
use super::token::{Failure, Tokens};
use super::wire::{Ahead, Answer, ClientError, Raw, Request, Wire};
use crate::clock::Clock;
use crate::config::Secret;
use serde::Serialize;
use serde_json::{Map, Value};

/// One account's way to api.weixin.qq.com. Share it: it keeps the token and the connections.
pub struct Client {
    pub(super) wire: Wire,
    tokens: Tokens,
}

/// One interface of WeChat's.
pub(super) struct Api {
    pub(super) path: &'static str,
    /// Its name for people.
    pub(super) what: &'static str,
    /// What the errcodes mean that only this interface has.
    pub(super) meaning: fn(i64) -> Option<&'static str>,
}

impl Client {
    /// A client for one account; nothing is called yet. `api_base` is `https://api.weixin.qq.com`, or `http://` on
    /// loopback for the sandbox.
    pub fn new(api_base: &str, app_id: &str, secret: Secret, clock: Clock) -> Result<Self, ClientError> {
        let wire = Wire::new(api_base, clock.clone())?;
        Ok(Self { wire, tokens: Tokens::new(app_id.to_owned(), secret, clock) })
    }

    /// Calls an interface, with a POST where there is a body; what it answers beside errcode and errmsg. Makes at most
    /// three attempts and two token calls, all of them because of a disowned token.
    pub(super) async fn ask(
        &self,
        api: &Api,
        body: Option<&impl Serialize>,
    ) -> Result<Map<String, Value>, CallError> {
        let request = Request::json(api.path, body).map_err(CallError::lasting)?;
        self.call(&request, |raw| understood(&raw, |answer| api.judge(answer))).await?
    }

    /// Sends somebody something; how that ended, and what WeChat answers beside. As many attempts as [`Client::ask`].
    pub(super) async fn deliver(
        &self,
        way: Way,
        path: &str,
        body: &impl Serialize,
    ) -> (Outcome, Map<String, Value>) {
        let request = match Request::json(path, Some(body)) {
            Ok(request) => request,
            Err(why) => return (Outcome::Transient { why, after: None }, Map::new()),
        };
        let judge = |answer: Answer| {
            let verdict = outcome::judge(way, answer.errcode, &answer.errmsg);
            verdict.map(|outcome| (outcome, answer.rest))
        };
        let sent = self.call(&request, |raw| understood(&raw, judge)).await;
        sent.unwrap_or_else(|Failure { why, after }| (Outcome::Transient { why, after }, Map::new()))
    }

    /// Fetches a token if there is none, to see whether the account's settings are right. The error says what to do.
    pub async fn check(&self) -> Result<(), String> {
        self.tokens.current(&self.wire).await.map(|_| ()).map_err(|failure| failure.why)
    }

    /// Fetches a token now, whatever is cached and whatever was wrong a moment ago, because somebody may have mended it.
    pub async fn check_anew(&self) -> Result<(), CallError> {
        self.tokens.anew(&self.wire).await
    }

    /// How far our clock is from WeChat's, by the last answer; `None` before the first.
    pub fn ahead(&self) -> Option<Ahead> {
        self.wire.ahead()
    }

    /// What only an operator can mend, as long as it lasts.
    pub fn trouble(&self) -> Option<Trouble> {
        self.tokens.trouble()
    }

    /// The one loop about the token, for all calls: makes the request and judges the answer, again with another token
    /// where that is what was wrong.
    pub(super) async fn call<T>(
        &self,
        request: &Request<'_>,
        judge: impl Fn(Raw) -> Verdict<T>,
    ) -> Result<T, Failure> {
        let mut token = self.tokens.current(&self.wire).await?;
        for force in [Some(false), Some(true), None] {
            let raw = self.wire.call(request, Some(&token)).await;
            match judge(raw.map_err(|why| Failure { why, after: None })?) {
                Verdict::Done(done) => {
                    self.tokens.all_well();
                    return Ok(done);
                }
                Verdict::Passing(why) => return Err(Failure { why, after: None }),
                Verdict::Halt { sentence, after } => return Err(self.tokens.halt(sentence, after)),
                Verdict::Token => {}
            }
            let Some(force) = force else { break };
            token = self.tokens.instead_of(&self.wire, &token, force).await.inspect_err(|failure| {
                if force {
                    self.tokens.complain(&failure.why);
                }
            })?;
        }
        let why = "微信连续不认新取得的 access_token，请核对 AppID 是否属于此公众号".to_owned();
        self.tokens.complain(&why);
        Err(Failure { why, after: None })
    }
}

impl Api {
    /// Judges what this interface answered.
    pub(super) fn judge(&self, answer: Answer) -> Verdict<Result<Map<String, Value>, CallError>> {
        outcome::judge_call(answer.rest, answer.errcode, &answer.errmsg, self.what, self.meaning)
    }
}

/// Judges an answer that has to be JSON. What is not may be somebody's on the way there: it may pass.
pub(super) fn understood<T>(raw: &Raw, judge: impl FnOnce(Answer) -> Verdict<T>) -> Verdict<T> {
    raw.answer().map_or_else(Verdict::Passing, judge)
}

impl From<Failure> for CallError {
    fn from(Failure { why, after }: Failure) -> Self {
        Self { code: None, why, passing: true, after }
    }
}
