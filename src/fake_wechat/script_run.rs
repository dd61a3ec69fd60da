//! A rehearsal that is acted out: each step done on the phones, each expectation looked for. Stops at the first line that
//! does not go as written, and says what the phone shows instead.

use super::script::{Hand, Line, Script, Step};
use super::state::{Bubble, Side};
use super::{Act, Delivered, FakeWechat, PhoneError};
use crate::wechat::OpenId;
use std::collections::HashMap;
use std::time::Duration;

/// What a person does takes this much of the phones' time, so that no two things happen in the same second: WeChat's
/// events are told apart by it.
const A_MOMENT: Duration = Duration::from_secs(1);
/// A phone is looked at so often.
const BETWEEN_LOOKS: Duration = Duration::from_millis(25);
/// The service gets so long to come up.
const UNTIL_UP: Duration = Duration::from_secs(20);
const MAX_SHOWN: usize = 10;
const MAX_SHOWN_CHARS: usize = 300;

/// Waits until the service answers WeChat's verification, which also proves that both know the same token. The error is a
/// sentence.
pub async fn until_up(fake: &FakeWechat) -> Result<(), String> {
    let mut answer = fake.verifies().await;
    let mut looked = Duration::ZERO;
    while answer == Err(PhoneError::NoAnswer) && looked < UNTIL_UP {
        tokio::time::sleep(BETWEEN_LOOKS * 10).await;
        looked += BETWEEN_LOOKS * 10;
        answer = fake.verifies().await;
    }
    match answer {
        Ok(true) => Ok(()),
        Ok(false) => Err("服务没有通过微信的服务器验证：请核对两边的 token 和地址".to_owned()),
        Err(error) => Err(format!("{error}：请先启动要排练的服务，并核对 --webhook")),
    }
}

impl Script {
    /// Acts it out. `tell` hears of each step as it is done. The number of steps, or the sentence about the one that
    /// went wrong.
    pub async fn run(&self, fake: &FakeWechat, mut tell: impl FnMut(&str)) -> Result<usize, String> {
        let mut stage = Stage { fake, marks: HashMap::new() };
        for line in &self.lines {
            let done = stage.takes(&line.step).await;
            done.map_err(|why| format!("{}:{}：{why}", self.file, line.n))?;
            tell(&told(line));
        }
        Ok(self.lines.len())
    }
}

fn told(line: &Line) -> String {
    format!("✓ {:>3}  {}", line.n, line.text)
}

struct Stage<'f> {
    fake: &'f FakeWechat,
    /// How many bubbles each had seen before they last did something: expectations look at what came after.
    marks: HashMap<OpenId, u64>,
}

impl Stage<'_> {
    async fn takes(&mut self, step: &Step) -> Result<(), String> {
        let fake = self.fake;
        match step {
            Step::Hand { name, hand } => return self.does(name, hand).await,
            Step::Advance(span) => fake.advance(*span),
            Step::ExpireWindow(name) => fake.expire_window(&self.person(name)?),
            Step::InvalidateTokens => fake.invalidate_tokens(),
            Step::Fail { n, code, path: None } => fake.fail_next(*n, *code),
            Step::Fail { n, code, path: Some(path) } => drop(fake.fail_path(path, *n, *code)),
            Step::Latency(span) => fake.latency(*span),
            Step::Quota { path, n } => drop(fake.set_quota(path, *n, u64::MAX)),
            Step::Account { unverified, test } => {
                fake.unverified(*unverified);
                fake.test_account(*test);
            }
            Step::Expect { name, text, within } => return self.sees(name, text, *within).await,
            Step::ExpectNot { name, text } => {
                let who = self.person(name)?;
                if self.said(&who).iter().any(|bubble| bubble.text.contains(text)) {
                    return Err(format!("{name}的手机上出现了“{text}”；{}", self.shown(&who)));
                }
            }
            Step::Silence { name, span } => return self.stays_silent(name, *span).await,
        }
        Ok(())
    }

    async fn does(&mut self, name: &str, hand: &Hand) -> Result<(), String> {
        let fake = self.fake;
        let who = match hand {
            Hand::Follow(_) | Hand::Scan(_) => fake.meet(name),
            _ => self.person(name)?,
        };
        fake.advance(A_MOMENT);
        self.marks.insert(who.clone(), fake.n_shown(&who));
        let done = match hand {
            Hand::Follow(scene) => fake.act(&who, Act::Follow { scene: scene.clone() }).await,
            Hand::Unfollow => fake.unfollows(&who).await,
            Hand::Say(text) => fake.says(&who, text).await,
            Hand::Tap(label) => fake.taps(&who, label).await,
            Hand::Click(what) => self.presses(&who, what).await,
            Hand::Scan(scene) => fake.scans(&who, scene).await,
            Hand::Allow(template) => fake.allows(&who, &self.template(template)?).await,
            Hand::Refuse(template) => fake.refuses(&who, &self.template(template)?).await,
            Hand::SwitchOff(template) => fake.switches_off(&who, &self.template(template)?).await,
            Hand::Image => fake.sends_picture(&who, &[]).await,
            Hand::Voice => fake.sends_recording(&who).await,
            Hand::Location => fake.sends_location(&who, "上海市闵行区莘庄镇莘松路").await,
            Hand::Resend => fake.resend(&who).await,
        };
        match done {
            Ok(Delivered { status: 200, .. }) => Ok(()),
            Ok(Delivered { status, .. }) => Err(format!("服务回应了 HTTP {status}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A button of the published menu by its name, or any key.
    async fn presses(&self, who: &OpenId, what: &str) -> Result<Delivered, PhoneError> {
        let menu = self.fake.menu().unwrap_or_default();
        let list = |of: &serde_json::Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
        let first = list(&menu, "button").into_iter();
        let mut all = first.flat_map(|button| [list(&button, "sub_button"), vec![button]].concat());
        let named = all.find(|button| button["name"] == what).unwrap_or_default();
        match (named["url"].as_str(), named["key"].as_str()) {
            (Some(url), _) => self.fake.views(who, url).await,
            (None, key) => self.fake.clicks(who, key.unwrap_or(what)).await,
        }
    }

    async fn sees(&self, name: &str, text: &str, within: Duration) -> Result<(), String> {
        let who = self.person(name)?;
        let mut waited = Duration::ZERO;
        while !self.said(&who).iter().any(|bubble| bubble.text.contains(text)) {
            if waited >= within {
                let waited = waited.as_secs_f64();
                return Err(format!("等了 {waited:.1} 秒，{name}的手机上没有“{text}”；{}", self.shown(&who)));
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            waited += BETWEEN_LOOKS;
        }
        Ok(())
    }

    async fn stays_silent(&self, name: &str, span: Duration) -> Result<(), String> {
        let who = self.person(name)?;
        let mut waited = Duration::ZERO;
        while self.said(&who).is_empty() {
            if waited >= span {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            waited += BETWEEN_LOOKS;
        }
        Err(format!("本该没有动静，但{}", self.shown(&who)))
    }

    fn person(&self, name: &str) -> Result<OpenId, String> {
        let known = self.fake.people().into_iter().find(|person| person.name == name);
        let known = known.map(|person| person.openid);
        known.ok_or_else(|| format!("还没有叫“{name}”的人，先写 follow {name}"))
    }

    /// A template by its id or its title.
    fn template(&self, named: &str) -> Result<String, String> {
        let all = self.fake.templates();
        let found = all.iter().find(|template| template.id == named || template.title == named);
        let names = || all.iter().map(|template| template.title.as_str()).collect::<Vec<_>>().join("、");
        found.map(|template| template.id.clone()).ok_or_else(|| format!("没有模板“{named}”；有 {}", names()))
    }

    /// What the account said since this person last did something.
    fn said(&self, who: &OpenId) -> Vec<Bubble> {
        let mark = self.marks.get(who).copied().unwrap_or_default();
        let mut shown = self.fake.shown_since(who, mark);
        shown.retain(|bubble| bubble.from == Side::Account);
        shown
    }

    /// The end of the screen, for people.
    fn shown(&self, who: &OpenId) -> String {
        let mark = self.marks.get(who).copied().unwrap_or_default();
        let shown = self.fake.shown_since(who, mark);
        let last = &shown[shown.len().saturating_sub(MAX_SHOWN)..];
        let mut sentence = if last.is_empty() { "手机上什么也没有" } else { "手机上是：" }.to_owned();
        for bubble in last {
            let who = match bubble.from {
                Side::Follower => "用户",
                Side::Account => "公众号",
                Side::System => "系统",
            };
            let text: String = bubble.text.chars().take(MAX_SHOWN_CHARS).collect();
            sentence.push_str(&format!("\n    {who}：{}", text.replace('\n', "\n        ")));
        }
        sentence
    }
}
