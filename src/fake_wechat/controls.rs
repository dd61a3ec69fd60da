//! What whoever rehearses has in hand: time, faults, quotas, what kind of account it is. Changes what WeChat does; does
//! nothing for a follower.

use super::api::known_path;
use super::{FakeWechat, MediaFile, Template};
use crate::wechat::OpenId;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Phones are ahead of the clock by this at most.
const MOST_AHEAD: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

impl FakeWechat {
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

    /// Moves the phones' time on: windows, tokens and files grow older by this much. Pushes are still signed at the real
    /// time, because who checks them looks at a clock that was not moved.
    pub fn advance(&self, span: Duration) {
        let (span, most) = (millis(span), millis(MOST_AHEAD));
        let ahead = |now: i64| Some(now.saturating_add(span).min(most));
        // It always has a next value, so it always succeeds.
        let _ = self.inner.ahead_ms.fetch_update(Ordering::AcqRel, Ordering::Acquire, ahead);
    }

    /// How far the phones are ahead of the real time.
    pub fn ahead(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.inner.ahead_ms.load(Ordering::Acquire)).unwrap_or_default())
    }

    /// Where this API is reached, without a slash at the end: pictures of pushes lie there.
    pub fn set_base_url(&self, url: impl Into<String>) {
        self.state().base_url = url.into();
    }

    /// The next `n` calls of `path` answer `errcode`. Whether there is such a call.
    pub fn fail_path(&self, path: &str, n: u32, errcode: i64) -> bool {
        let Some(path) = known_path(path) else { return false };
        self.state().failing_paths.insert(path, (n, errcode));
        true
    }

    /// From now on `path` may be called so often a day (45009) and a minute (45011). Whether there is such a call.
    pub fn set_quota(&self, path: &str, a_day: u64, a_minute: u64) -> bool {
        known_path(path).inspect(|path| self.state().quota.set(path, a_day, a_minute)).is_some()
    }

    /// Whether the account is one that nobody has verified: sending of its own accord, menus and codes are refused with
    /// 48001.
    pub fn unverified(&self, is: bool) {
        self.state().unverified = is;
    }

    /// Whether the account is a test account: options to tap (msgmenu) are refused with 40200.
    pub fn test_account(&self, is: bool) {
        self.state().test_account = is;
    }

    /// The account's templates from now on; at first [`Template::defaults`].
    pub fn set_templates(&self, templates: Vec<Template>) {
        self.state().templates = templates;
    }

    /// The account's templates.
    pub fn templates(&self) -> Vec<Template> {
        self.state().templates.clone()
    }

    /// A file that lies at WeChat, as long as it lives.
    pub fn media(&self, id: &str) -> Option<MediaFile> {
        let now = self.now();
        self.state().media.get(now, id)
    }

    /// The menu that was published over the API, as `menu/get` gives it.
    pub fn menu(&self) -> Option<serde_json::Value> {
        self.state().setup.menu().ok().map(|mut answer| answer["menu"].take())
    }
}

/// `200ms`, `5s`, `10m`, `2h` or `3d`, up to a year, as scripts write it. The error is a sentence.
pub fn span(text: &str) -> Result<Duration, String> {
    super::script::span(text, Duration::from_secs(366 * 24 * 3600))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
