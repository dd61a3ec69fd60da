//! The settings, parsed and checked. The only module that reads the configuration file, secret files and environment.

use crate::answer_link::AnswerLinks;
use crate::conversation::Settings;
use crate::knowledge::Thresholds;
use crate::media;
use crate::staff::FactorRule;
use crate::wechat::Mode;
use crate::window::{Grant, Limits};
use anyhow::{Context, bail};
use ipnet::IpNet;
use serde::Deserialize;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A text that is never printed.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; call it only where it leaves the process.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Every setting with its default, as shipped.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The settings of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Database and control socket.
    pub data_dir: PathBuf,
    /// The knowledge folder.
    pub knowledge_dir: PathBuf,
    /// The sentence model; empty: words alone decide.
    pub model_file: PathBuf,
    public_url: String,
    #[serde(deserialize_with = "networks")]
    /// Whose forwarded addresses are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Filter of log lines.
    pub log: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// The account.
    pub wechat: WechatConfig,
    window: WindowConfig,
    answers: AnswersConfig,
    media: MediaConfig,
    /// What is tried where a message cannot be sent.
    pub ladder: LadderConfig,
    tickets: TicketsConfig,
    /// From which confidence on the bot answers, or offers.
    pub matching: Thresholds,
    /// The courier.
    pub delivery: DeliveryConfig,
    /// Who is told of tickets.
    pub notices: NoticesConfig,
    /// The console.
    pub console: ConsoleConfig,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For eyes.
    Text,
    /// For machines.
    Json,
}

/// The account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WechatConfig {
    /// Empty: sandbox mode.
    pub app_id: String,
    /// AppSecret.
    pub app_secret: Secret,
    /// Token of the webhook.
    pub token: Secret,
    /// EncodingAESKey.
    pub encoding_aes_key: Secret,
    app_secret_file: PathBuf,
    token_file: PathBuf,
    encoding_aes_key_file: PathBuf,
    /// How messages are wrapped.
    pub mode: Mode,
    /// Where the API is.
    pub api_base: String,
    /// The account may send by itself.
    pub customer_service: bool,
    tappable: bool,
}

impl WechatConfig {
    /// No credentials: the built-in fake WeChat is used.
    pub fn is_sandbox(&self) -> bool {
        self.app_id.is_empty()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TicketsConfig {
    answer_within_min: u32,
    max_open: u8,
    max_messages_per_min: u16,
    undo_s: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowConfig {
    message_n: u8,
    message_h: u32,
    tap_n: u8,
    tap_s: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswersConfig {
    page_days: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaConfig {
    store_mib: u32,
    keep_days: u32,
}

/// What is tried where a message cannot be sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LadderConfig {
    /// The template of subscribe notifications (订阅通知); empty: there are none.
    pub subscribe_template: String,
    #[serde(deserialize_with = "fields")]
    /// Its fields and what stands in them.
    pub subscribe_fields: Vec<(String, String)>,
    /// Consent holds until it is taken back.
    pub long_term: bool,
    /// The template of template messages (模板消息); empty: there are none.
    pub template: String,
    #[serde(deserialize_with = "fields")]
    /// Its fields and what stands in them.
    pub template_fields: Vec<(String, String)>,
}

impl LadderConfig {
    fn check(&self) -> anyhow::Result<()> {
        for (template, fields, name) in [
            (&self.subscribe_template, &self.subscribe_fields, "subscribe_template"),
            (&self.template, &self.template_fields, "template"),
        ] {
            if template.is_empty() != fields.is_empty() {
                bail!(
                    "ladder.{name} 和它的字段要一起填，或都留空（字段写成 thing1={{subject}};time2={{time}}）"
                );
            }
            if template.len() > 128 || fields.len() > 20 {
                bail!("ladder.{name} 的模板 ID 或字段太长：模板 ID 最多 128 个字符，字段最多 20 个");
            }
        }
        Ok(())
    }
}

/// The courier.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Between tries.
    #[serde(rename = "retry_after_s", deserialize_with = "seconds_list")]
    pub retry_after: Vec<Duration>,
    #[serde(rename = "lease_s", deserialize_with = "seconds")]
    /// How long a message is kept from other couriers.
    pub lease: Duration,
}

/// The console.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsoleConfig {
    /// A session ends after so many minutes without use.
    pub idle_min: u32,
    /// And after so many hours in any case.
    pub session_h: u32,
    /// Wrong passwords or codes before further tries are refused.
    pub max_login_failures: u32,
    /// Who has to have a second factor.
    pub second_factor: FactorRule,
}

/// Who is told of tickets: a group robot of WeCom, another system, both or nobody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticesConfig {
    /// The group robot's key; empty: there is none.
    pub wecom_key: Secret,
    wecom_key_file: PathBuf,
    /// Where its API is.
    pub wecom_base: String,
    #[serde(rename = "due_soon_min", deserialize_with = "minutes")]
    /// In so much working time a ticket is due soon.
    pub due_soon: Duration,
    #[serde(deserialize_with = "names")]
    /// Who is mentioned where tickets are overdue.
    pub overdue_mentions: Vec<String>,
    /// Where another system listens; empty: none does. It may hold a password or a token.
    pub webhook_url: Secret,
    /// What its messages are signed with.
    pub webhook_secret: Secret,
    webhook_secret_file: PathBuf,
}

impl NoticesConfig {
    fn check(&self, answer_within_min: u32) -> anyhow::Result<()> {
        let key = self.wecom_key.expose();
        if key.len() > 100 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
            bail!("notices.wecom_key 只填群机器人 Webhook 地址里 key= 后面的那一段");
        }
        let answer_within = Duration::from_secs(u64::from(answer_within_min) * 60);
        let nobody = self.wecom_key.is_empty() && self.webhook_url.is_empty();
        if !nobody && (self.due_soon.is_zero() || self.due_soon >= answer_within) {
            bail!("notices.due_soon_min 要大于 0，并小于 tickets.answer_within_min");
        }
        let is_id = |name: &String| {
            name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@._-".contains(&b))
        };
        if self.overdue_mentions.len() > 20 || !self.overdue_mentions.iter().all(is_id) {
            bail!(
                "notices.overdue_mentions 填企业微信里的账号（userid），逗号分隔，最多 20 个；@all 是所有人"
            );
        }
        if self.webhook_url.is_empty() != self.webhook_secret.is_empty() {
            bail!("notices.webhook_url 和 notices.webhook_secret 要一起填，或都留空");
        }
        Ok(())
    }
}

/// A list in the file is written as text, so that the environment can say the same.
fn networks<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let text = String::deserialize(from)?;
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            item.parse().map_err(|_| serde::de::Error::custom(format!("“{item}”不是网段，应如 10.0.0.0/8")))
        })
        .collect()
}

fn seconds_list<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    let text = String::deserialize(from)?;
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| {
            item.parse()
                .map(Duration::from_secs)
                .map_err(|_| serde::de::Error::custom(format!("“{item}”不是秒数")))
        })
        .collect()
}

fn names<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(from)?;
    Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
}

fn fields<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<(String, String)>, D::Error> {
    let text = String::deserialize(from)?;
    let items = text.split(';').map(str::trim).filter(|item| !item.is_empty());
    items
        .map(|item| match item.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            _ => Err(serde::de::Error::custom(format!("“{item}”不是 字段=内容"))),
        })
        .collect()
}

fn minutes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u32::deserialize(from).map(|minutes| Duration::from_secs(u64::from(minutes) * 60))
}

fn seconds<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_secs)
}

impl Config {
    /// Defaults, then the file, then the environment (`XINQI_…`), then secret files; checked.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        use config::{Environment, File, FileFormat};
        let mut builder = config::Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("读不了配置文件 {}", file.display()))?;
            // Said by us: the parser's own message would show the line, which may hold a secret.
            if let Err(error) = toml::from_str::<toml::Table>(&text) {
                let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                bail!("配置文件 {} 第 {line} 行不是合格的 TOML（文字要用引号括起来）", file.display());
            }
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let ours = environment.into_iter().filter(|(name, _)| name.starts_with("XINQI_")).collect();
        let environment =
            Environment::with_prefix("XINQI").prefix_separator("_").separator("__").source(Some(ours));
        let built = builder.add_source(environment).build().context("配置文件格式不对")?;
        let mut config: Self = built.try_deserialize().context("配置不对")?;
        let (wechat, notices) = (&mut config.wechat, &mut config.notices);
        for (secret, file) in [
            (&mut wechat.app_secret, &wechat.app_secret_file),
            (&mut wechat.token, &wechat.token_file),
            (&mut wechat.encoding_aes_key, &wechat.encoding_aes_key_file),
            (&mut notices.wecom_key, &notices.wecom_key_file),
            (&mut notices.webhook_secret, &notices.webhook_secret_file),
        ] {
            if !file.as_os_str().is_empty() {
                let text =
                    std::fs::read_to_string(file).with_context(|| format!("读不了 {}", file.display()))?;
                *secret = Secret::new(text.lines().next().unwrap_or_default().trim());
            }
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        let wechat = &self.wechat;
        let credentials = [&wechat.app_secret, &wechat.token, &wechat.encoding_aes_key];
        if wechat.is_sandbox() && credentials.iter().any(|secret| !secret.is_empty()) {
            // An empty variable must not open the simulator on a service that is meant for a real account.
            bail!("填了公众号的密钥，却没有填 wechat.app_id；沙箱模式请把 wechat 里的密钥都留空");
        }
        if !wechat.is_sandbox() {
            if wechat.app_secret.is_empty() || wechat.token.is_empty() {
                bail!(
                    "填了 wechat.app_id，还要填 wechat.app_secret 和 wechat.token（公众平台“设置与开发”里的值）"
                );
            }
            if wechat.mode != Mode::Plain && wechat.encoding_aes_key.is_empty() {
                bail!("安全模式和兼容模式要填 wechat.encoding_aes_key（43 个字符）");
            }
        }
        let t = &self.matching;
        if !(0.0..=1.0).contains(&t.answer) || !(0.0..=t.answer).contains(&t.offer) {
            bail!("matching 里应有 0 ≤ offer ≤ answer ≤ 1");
        }
        if self.tickets.answer_within_min == 0
            || self.tickets.max_open == 0
            || self.tickets.max_messages_per_min == 0
        {
            bail!("tickets 里的数都要大于 0");
        }
        if self.console.idle_min == 0 || self.console.session_h == 0 || self.console.max_login_failures == 0 {
            bail!("console 里的数都要大于 0");
        }
        if !self.public_url.is_empty() && !self.public_url.starts_with("http") {
            bail!("public_url 要以 https:// 开头");
        }
        if self.public_url.len() > 300 {
            bail!("public_url 太长，最多 300 个字符");
        }
        if self.media.store_mib == 0 || self.media.keep_days == 0 {
            bail!("media 里的数都要大于 0");
        }
        self.ladder.check()?;
        self.notices.check(self.tickets.answer_within_min)
    }

    /// Where the console is for people elsewhere, without a slash at the end; `None` where nobody has said.
    pub fn console_url(&self) -> Option<String> {
        let url = self.public_url.trim_end_matches('/');
        (!url.is_empty()).then(|| format!("{url}/console"))
    }

    /// Where WeChat is to push to; `None` where nobody has said.
    pub fn webhook_url(&self) -> Option<String> {
        let url = self.public_url.trim_end_matches('/');
        (!url.is_empty()).then(|| format!("{url}/wechat"))
    }

    /// The address people use, without a slash at the end; `listening` is where the service really listens.
    pub fn public_url(&self, listening: SocketAddr) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{listening}"),
            url => url.to_owned(),
        }
    }

    /// Where files of tickets are.
    pub fn media_dir(&self) -> PathBuf {
        self.data_dir.join("media")
    }

    /// How much of them is kept.
    pub fn media_limits(&self) -> media::Limits {
        let whole = u64::from(self.media.store_mib) * 1024 * 1024;
        media::Limits { whole, ..media::Limits::default() }
    }

    /// How long files of tickets are kept.
    pub fn media_keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.media.keep_days) * 24 * 3600)
    }

    /// Where answer pages are and how long their links hold; `None`: nowhere that a follower could open.
    pub fn answer_pages(&self) -> Option<(String, Duration)> {
        let reachable = !self.public_url.is_empty() || self.wechat.is_sandbox();
        let lasts = Duration::from_secs(u64::from(self.answers.page_days) * 24 * 3600);
        (reachable && !lasts.is_zero()).then(|| (self.public_url(self.listen), lasts))
    }

    /// What the conversation is told; `pages` is what [`Self::answer_pages`] leads to.
    pub fn settings(&self, pages: Option<AnswerLinks>) -> Settings {
        let grant = |n: u8, seconds: u64| Grant { n, lasts: Duration::from_secs(seconds) };
        let window = &self.window;
        Settings {
            window: Limits {
                message: grant(window.message_n, u64::from(window.message_h) * 3600),
                tap: grant(window.tap_n, u64::from(window.tap_s)),
            },
            tappable: self.wechat.tappable,
            pages,
            long_term_consent: self.ladder.long_term,
            customer_service: self.wechat.customer_service,
            answer_within: Duration::from_secs(u64::from(self.tickets.answer_within_min) * 60),
            max_per_minute: self.tickets.max_messages_per_min,
            max_open_tickets: usize::from(self.tickets.max_open),
            undo: Duration::from_secs(u64::from(self.tickets.undo_s)),
        }
    }

    /// The process's environment.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub fn environment() -> Vec<(String, String)> {
        let text =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        std::env::vars_os().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        Config::load(None, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn without_anything_it_is_the_sandbox_on_loopback() {
        let config = load(&[]).unwrap();
        assert!(config.wechat.is_sandbox() && config.listen.ip().is_loopback());
        assert_eq!(config.delivery.retry_after.len(), 5);
    }

    #[test]
    fn the_environment_overrides_and_is_always_text() {
        let config = load(&[
            ("XINQI_WECHAT__APP_ID", "0123"),
            ("XINQI_WECHAT__APP_SECRET", "1e5"),
            ("XINQI_WECHAT__TOKEN", "true"),
            ("XINQI_WECHAT__ENCODING_AES_KEY", "9".repeat(43).as_str()),
            ("XINQI_TICKETS__MAX_OPEN", "3"),
            ("XINQI_TRUSTED_PROXIES", "127.0.0.1/32, 10.0.0.0/8"),
        ])
        .unwrap();
        assert_eq!(config.wechat.app_id, "0123");
        assert_eq!(config.wechat.app_secret.expose(), "1e5");
        assert_eq!(config.wechat.token.expose(), "true");
        assert_eq!(config.settings(None).max_open_tickets, 3);
        assert_eq!(config.trusted_proxies.len(), 2);
    }

    #[test]
    fn administrators_need_a_second_factor_unless_somebody_says_otherwise() {
        assert_eq!(load(&[]).unwrap().console.second_factor, FactorRule::Admins);
        let rule =
            |name| load(&[("XINQI_CONSOLE__SECOND_FACTOR", name)]).map(|config| config.console.second_factor);
        assert_eq!(rule("all").unwrap(), FactorRule::All);
        assert_eq!(rule("optional").unwrap(), FactorRule::Optional);
        assert!(rule("none").is_err());
    }

    #[test]
    fn what_is_wrong_is_said_and_secrets_are_not() {
        assert!(
            format!("{:#}", load(&[("XINQI_WECHAT__APP_ID", "wx1")]).unwrap_err()).contains("app_secret")
        );
        assert!(format!("{:#}", load(&[("XINQI_NO_SUCH", "1")]).unwrap_err()).contains("no_such"));
        let secret = [("XINQI_WECHAT__APP_SECRET", "hush"), ("XINQI_WECHAT__TOKEN", "t")];
        assert!(
            load(&secret).unwrap_err().to_string().contains("app_id"),
            "no sandbox with a real account's secrets"
        );
        let all = [
            secret[0],
            secret[1],
            ("XINQI_WECHAT__APP_ID", "wx1"),
            ("XINQI_WECHAT__ENCODING_AES_KEY", "9999999999999999999999999999999999999999999"),
        ];
        assert!(!format!("{:?}", load(&all).unwrap()).contains("hush"));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("xinqi.toml");
        std::fs::write(&file, "[wechat]\napp_id = \"wx1\"\napp_secret = hush\n").unwrap();
        let error = format!("{:#}", Config::load(Some(&file), []).unwrap_err());
        assert!(error.contains("第 3 行") && !error.contains("hush"), "{error}");
    }
    #[test]
    fn nobody_is_told_of_tickets_until_somebody_is_named_and_what_is_half_filled_in_is_said() {
        let config = load(&[]).unwrap();
        assert!(config.notices.wecom_key.is_empty() && config.notices.webhook_url.is_empty());
        assert_eq!(config.console_url(), None);
        let whole = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=hush";
        for (name, value, said) in [
            ("XINQI_NOTICES__WECOM_KEY", whole, "wecom_key"),
            ("XINQI_NOTICES__DUE_SOON_MIN", "360", "due_soon_min"),
            ("XINQI_NOTICES__OVERDUE_MENTIONS", "wang,<@li>", "overdue_mentions"),
            ("XINQI_NOTICES__WEBHOOK_URL", "https://example.cn/hush", "webhook_secret"),
        ] {
            let error =
                format!("{:#}", load(&[("XINQI_NOTICES__WECOM_KEY", "k"), (name, value)]).unwrap_err());
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key");
        std::fs::write(&file, "hush-1\n").unwrap();
        let config = load(&[
            ("XINQI_NOTICES__WECOM_KEY_FILE", file.to_str().unwrap()),
            ("XINQI_NOTICES__OVERDUE_MENTIONS", "wang, @all"),
            ("XINQI_NOTICES__WEBHOOK_URL", "https://example.cn/hush"),
            ("XINQI_NOTICES__WEBHOOK_SECRET", "hush"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.notices.wecom_key.expose(), "hush-1");
        assert_eq!(config.notices.overdue_mentions, ["wang", "@all"]);
        assert!(!format!("{config:?}").contains("hush"));
    }
}
