//! api.weixin.qq.com on loopback, and the phones of its followers: one for sandbox, simulator and tests. Keeps state as
//! WeChat does: tokens, windows and counts, who follows, what was said. Must not know this service beyond its webhook.

mod api;
mod errcodes;
mod messages;
mod phone;
mod push;
mod setup;
mod state;
mod tokens;
pub mod window;

pub use phone::{Delivered, PhoneError};
pub use push::{Act, Push};
pub use state::{Bubble, Person, Side, Via};
pub use window::Window;

use crate::clock::{Clock, Timestamp};
use crate::config::Secret;
use crate::wechat::{self, ClientError, Crypt, KeyError, Mode, OpenId};
use state::State;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The original id of the account everybody here follows.
pub const ACCOUNT: &str = "gh_5f0c7a91d2e4";

/// The account, as WeChat and the service both know it.
#[derive(Clone, Debug)]
pub struct FakeSettings {
    /// `wx…`.
    pub app_id: String,
    /// What the service fetches tokens with.
    pub app_secret: Secret,
    /// What pushes are signed with.
    pub token: Secret,
    /// What pushes are sealed with; not needed in [`Mode::Plain`].
    pub encoding_aes_key: Secret,
    /// How pushes go out.
    pub mode: Mode,
    /// Where they go; `http://` on loopback.
    pub webhook_url: String,
}

/// Why there can be no fake WeChat with these settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FakeError {
    /// The key, the token or the AppID.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The HTTP client.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A handle; clones share everything.
#[derive(Clone)]
pub struct FakeWechat {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    settings: FakeSettings,
    crypt: Option<Crypt>,
    http: reqwest::Client,
    next_msg_id: AtomicU64,
    state: Mutex<State>,
}

impl FakeWechat {
    /// An account that nobody follows yet.
    pub fn new(clock: Clock, settings: FakeSettings) -> Result<Self, FakeError> {
        let sealing = || Crypt::new(&settings.token, &settings.encoding_aes_key, &settings.app_id);
        let crypt = if settings.mode == Mode::Plain { None } else { Some(sealing()?) };
        let state = State::new(settings.webhook_url.clone());
        let http = wechat::http(true)?;
        // Above 2^53, as real ones are, and later after a restart than before it.
        let first =
            u64::try_from(clock.now().0).unwrap_or_default().saturating_mul(20_000).max((1 << 53) + 1);
        let inner = Inner { clock, settings, crypt, http, next_msg_id: first.into(), state: state.into() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The API as routes: `/cgi-bin/token`, `stable_token`, `message/custom/send` and `typing`, `getcallbackip`,
    /// `callback/check`, `clear_quota`, `menu/create`, `get` and `delete`, `qrcode/create`; the rest answers 40066. Always HTTP 200, with an errcode where WeChat has one.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// Where pushes go from now on, when the port was not known at first.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        self.state().webhook_url = url.into();
    }

    /// A follower of this display name, who has followed for a while: no push. The same name is the same person. Of
    /// more than 1,000 the one who has been silent longest is forgotten.
    pub fn follow(&self, name: &str) -> OpenId {
        let hash = wechat::signature::sign(&[&self.inner.settings.app_id, "/", name]);
        let openid = OpenId::new(format!("o{}", &hash[..27]));
        self.state().meet(openid.clone(), name, self.now());
        openid
    }

    /// Everybody who ever followed, in a steady order.
    pub fn people(&self) -> Vec<Person> {
        self.state().people()
    }

    /// What a follower's screen shows, oldest first: the last 200 bubbles.
    pub fn transcript(&self, who: &OpenId) -> Vec<Bubble> {
        self.state()
            .follower(who)
            .map(|follower| follower.transcript.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// What the account may still send to a follower of its own accord; `None` when nothing.
    pub fn window(&self, who: &OpenId) -> Option<Window> {
        let now = self.now();
        self.state().follower(who).and_then(|follower| follower.rights.window(now))
    }

    /// Ends a follower's window, as two silent days would.
    pub fn expire_window(&self, who: &OpenId) {
        if let Some(follower) = self.state().follower(who) {
            follower.rights.revoke();
        }
    }

    /// The scene of the QR code that says `url`, as long as it works.
    pub fn scene_of(&self, url: &str) -> Option<String> {
        let now = self.now();
        self.state().setup.scene(url, now).map(ToOwned::to_owned)
    }

    /// The next `n` calls, token calls aside, answer `errcode`.
    pub fn fail_next(&self, n: u32, errcode: i64) {
        self.state().failing_calls = (n, errcode);
    }

    /// The next `n` token calls answer `errcode`.
    pub fn fail_next_tokens(&self, n: u32, errcode: i64) {
        self.state().failing_tokens = (n, errcode);
    }

    /// Every call takes this much longer; zero at first.
    pub fn latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Makes every token given out so far worthless, as a second server with another way of fetching them does.
    pub fn invalidate_tokens(&self) {
        self.state().tokens.invalidate();
    }

    /// How often `path` was called, errors included.
    pub fn calls(&self, path: &str) -> u64 {
        self.state().calls.get(path).copied().unwrap_or_default()
    }

    /// What time it is on every phone.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn new_msg_id(&self) -> u64 {
        self.inner.next_msg_id.fetch_add(1, Ordering::Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Clock, FakeSettings, FakeWechat, Mode, Secret, Timestamp};
    use crate::wechat::Client;

    pub(crate) const NOW: Timestamp = Timestamp::from_s(1_795_480_000);
    pub(crate) const KEY: &str = "XinQiShenXianZhenQiYeZiXunBangZiXunBangGonh";

    pub(crate) fn fake(mode: Mode, webhook_url: &str) -> (FakeWechat, Clock) {
        let settings = FakeSettings {
            app_id: "wx0123456789abcdef".into(),
            app_secret: Secret::new("appsecret"),
            token: Secret::new("token"),
            encoding_aes_key: Secret::new(KEY),
            mode,
            webhook_url: webhook_url.into(),
        };
        let clock = Clock::standing_at(NOW);
        (FakeWechat::new(clock.clone(), settings).unwrap(), clock)
    }

    /// Serves `routes` on a port of its own and says where.
    pub(crate) async fn serve(routes: axum::Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        format!("http://{address}")
    }

    /// A fake WeChat, and a client of this service that talks to it.
    pub(crate) async fn with_client(secret: &str) -> (FakeWechat, Client, Clock) {
        let (fake, clock) = fake(Mode::Safe, "http://127.0.0.1:1/");
        let base = serve(fake.router()).await;
        let client = Client::new(&base, "wx0123456789abcdef", Secret::new(secret), clock.clone()).unwrap();
        (fake, client, clock)
    }

    #[tokio::test]
    async fn a_follower_is_known_by_name_and_a_thousand_are_remembered() {
        let (fake, _) = fake(Mode::Plain, "");
        let ming = fake.follow("小明");
        assert_eq!((ming.as_str().len(), ming.as_str().starts_with('o')), (28, true));
        assert_eq!(fake.follow("小明"), ming);
        for n in 0..1200 {
            fake.follow(&n.to_string());
        }
        assert_eq!(fake.people().len(), 1000);
    }

    #[test]
    fn what_is_sent_again_after_a_restart_has_a_later_number() {
        let (first, clock) = fake(Mode::Plain, "");
        let before = first.new_msg_id();
        assert!(before > 1 << 53 && first.new_msg_id() > before);
        clock.advance(std::time::Duration::from_millis(1));
        let again = FakeWechat::new(clock, first.inner.settings.clone()).unwrap();
        assert!(again.new_msg_id() > before + 10_000);
    }
}
