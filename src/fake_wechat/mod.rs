//! api.weixin.qq.com on loopback, and the phones of its followers: one for sandbox, simulator and tests. Keeps state as
//! WeChat does: tokens, windows and counts, who follows, what was said. Must not know this service beyond its webhook.

mod api;
mod card;
mod checks;
mod controls;
mod errcodes;
mod events;
mod hands;
pub mod links;
mod media;
mod messages;
mod notices;
mod passive;
mod phone;
mod push;
mod quota;
mod script;
mod script_run;
mod setup;
mod state;
mod templates;
mod tokens;
pub mod window;

pub use card::{Card, Choice};
pub use controls::span;
pub use media::MediaFile;
pub use notices::Consent;
pub use phone::{Delivered, PhoneError};
pub use push::{Act, Push};
pub use script::Script;
pub use script_run::until_up;
pub use state::{Bubble, Person, Side, Via};
pub use templates::{Template, TemplateKind};
pub use window::Window;

use crate::clock::{Clock, Timestamp};
use crate::config::Secret;
use crate::wechat::{self, ClientError, Crypt, KeyError, Mode, OpenId};
use state::State;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// So many milliseconds the phones are ahead of it.
    ahead_ms: AtomicI64,
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
        let (ahead_ms, next_msg_id) = (AtomicI64::new(0), first.into());
        let inner = Inner { clock, ahead_ms, settings, crypt, http, next_msg_id, state: state.into() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The API as routes: the calls of `api`'s table; the rest answers 40066. Always HTTP 200, with an errcode where
    /// WeChat has one.
    pub fn router(&self) -> axum::Router {
        api::router(self.clone())
    }

    /// The account, as it was made.
    pub fn settings(&self) -> &FakeSettings {
        &self.inner.settings
    }

    /// Where pushes go from now on, when the port was not known at first.
    pub fn set_webhook_url(&self, url: impl Into<String>) {
        self.state().webhook_url = url.into();
    }

    /// A follower of this display name, who has followed for a while: no push. The same name is the same person. Of
    /// more than 1,000 the one who has been silent longest is forgotten.
    pub fn follow(&self, name: &str) -> OpenId {
        let openid = self.meet(name);
        if let Some(follower) = self.state().follower(&openid) {
            follower.following = true;
        }
        openid
    }

    /// Somebody of this display name, who does not follow yet; who is known stays as they are.
    pub fn meet(&self, name: &str) -> OpenId {
        let hash = wechat::signature::sign(&[&self.inner.settings.app_id, "/", name]);
        let openid = OpenId::new(format!("o{}", &hash[..27]));
        let now = self.now();
        self.state().meet(openid.clone(), name, now);
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

    /// What time it is on every phone.
    pub fn now(&self) -> Timestamp {
        let ahead = self.inner.ahead_ms.load(Ordering::Acquire);
        Timestamp(self.inner.clock.now().0.saturating_add(ahead))
    }

    /// What time it is where no phone has been moved on.
    fn true_now(&self) -> Timestamp {
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
