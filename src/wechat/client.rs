//! Calls with the account's token: messages to followers outside a response (PROTOCOL.md §7), and the JSON calls that
//! other files here describe ([`Api`]). The token is handled and every answer sorted by what to do. Knows nothing of
//! windows, retries over time or who the follower is.

use super::OpenId;
use super::outcome::{self, CallError, Outcome, Trouble, Verdict};
use super::token::{Failure, Tokens};
use super::wire::{Ahead, Answer, ClientError, Wire};
use crate::clock::Clock;
use crate::config::Secret;
use serde::Serialize;
use serde_json::{Map, Value};

const SEND: &str = "/cgi-bin/message/custom/send";

/// One account's way to api.weixin.qq.com. Share it: it keeps the token and the connections.
pub struct Client {
    wire: Wire,
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

#[derive(Serialize)]
struct Message<'a> {
    touser: &'a str,
    msgtype: &'static str,
    text: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aimsgcontext: Option<AiContext>,
}

#[derive(Serialize)]
struct Text<'a> {
    content: &'a str,
}

#[derive(Serialize)]
struct AiContext {
    is_ai_msg: u8,
}

impl Client {
    /// A client for one account; nothing is called yet. `api_base` is `https://api.weixin.qq.com`, or `http://` on
    /// loopback for the sandbox.
    pub fn new(api_base: &str, app_id: &str, secret: Secret, clock: Clock) -> Result<Self, ClientError> {
        let wire = Wire::new(api_base, clock.clone())?;
        Ok(Self { wire, tokens: Tokens::new(app_id.to_owned(), secret, clock) })
    }

    /// Sends a text of at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES). `from_bot` has WeChat print under it that it
    /// was made by AI. Makes at most three attempts and two token calls, all of them because of a disowned token.
    pub async fn custom_text(&self, to: &OpenId, text: &str, from_bot: bool) -> Outcome {
        let message = Message {
            touser: to.as_str(),
            msgtype: "text",
            text: Text { content: text },
            aimsgcontext: from_bot.then_some(AiContext { is_ai_msg: 1 }),
        };
        let judge = |answer: Answer| outcome::judge(answer.errcode, &answer.errmsg);
        let sent = self.call(SEND, Some(&message), judge).await;
        sent.unwrap_or_else(|Failure { why, after }| Outcome::Transient { why, after })
    }

    /// Calls an interface, with a POST where there is a body; what it answers beside errcode and errmsg. As many attempts
    /// as for a message.
    pub(super) async fn ask(
        &self,
        api: &Api,
        body: Option<&impl Serialize>,
    ) -> Result<Map<String, Value>, CallError> {
        let judge = |answer: Answer| {
            outcome::judge_call(answer.rest, answer.errcode, &answer.errmsg, api.what, api.meaning)
        };
        let done = self.call(api.path, body, judge).await;
        done.unwrap_or_else(|failure| Err(CallError { code: None, why: failure.why }))
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

    async fn call<T>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
        judge: impl Fn(Answer) -> Verdict<T>,
    ) -> Result<T, Failure> {
        let mut token = self.tokens.current(&self.wire).await?;
        for force in [Some(false), Some(true), None] {
            let answer = self.wire.call(path, Some(&token), body).await;
            let answer = answer.map_err(|why| Failure { why, after: None })?;
            match judge(answer) {
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
