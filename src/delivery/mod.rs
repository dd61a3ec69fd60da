//! The courier: takes messages that are due, sends them, and tells the desk what became of them. At least once: a
//! message whose sending was cut off by a crash goes again when its lease ends. Knows retries; not what messages say.

mod ladder;

use self::ladder::ShutWays;
use crate::clock::{Clock, Timestamp};
use crate::config::{DeliveryConfig, LadderConfig};
use crate::conversation::{Channel, Event, Later, Rung};
use crate::desk::Desk;
use crate::notices::Notices;
use crate::store::{Delivery, Result};
use crate::wechat::{Client, OpenId, Outcome, Outgoing, RefusedKind};
use crate::window::Shut;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// So many followers are sent to at once.
const AT_ONCE: usize = 8;
/// A round ends after so many batches, whatever is still due.
const MAX_BATCHES: usize = 64;
/// WeChat's code for a file it does not know (any more).
const NO_SUCH_MEDIA: i64 = 40007;
/// How long the courier sleeps when nobody rings.
const NAP: Duration = Duration::from_secs(1);

/// The courier.
#[derive(Clone)]
pub struct Courier {
    desk: Desk,
    client: Arc<Client>,
    config: Arc<DeliveryConfig>,
    ladder: Arc<LadderConfig>,
    clock: Clock,
    notices: Notices,
    shut: Arc<ShutWays>,
}

impl Courier {
    /// A courier between a desk and WeChat.
    pub fn new(
        desk: Desk,
        client: Arc<Client>,
        (config, ladder): (DeliveryConfig, LadderConfig),
        clock: Clock,
        notices: Notices,
    ) -> Self {
        let (config, ladder) = (Arc::new(config), Arc::new(ladder));
        Self { desk, client, config, ladder, clock, notices, shut: Arc::default() }
    }

    /// Asks WeChat for a token; where it gives none, a notice says what to do.
    pub async fn check(&self) {
        if let Err(why) = self.client.check().await {
            tracing::error!(why, "WeChat gives no access token");
        }
        self.tell_trouble();
    }

    /// Sends what is due until nothing is; tells how many were taken.
    pub async fn round(&self) -> Result<usize> {
        self.round_until(|| false).await
    }

    /// The same, but no batch is begun once `stop` says so.
    async fn round_until(&self, stop: impl Fn() -> bool) -> Result<usize> {
        let mut n = 0;
        for _ in 0..MAX_BATCHES {
            if stop() {
                break;
            }
            let due = self.desk.store().take_due(self.clock.now(), self.config.lease, AT_ONCE * 2).await?;
            if due.is_empty() {
                break;
            }
            n += due.len();
            self.send_all(self.in_order(due).await).await?;
        }
        self.tell_trouble();
        Ok(n)
    }

    /// Those first whose window closes first.
    async fn in_order(&self, due: Vec<Delivery>) -> Vec<Delivery> {
        let now = self.clock.now();
        let mut ordered = Vec::with_capacity(due.len());
        for delivery in due {
            // One memory that cannot be read must not keep all others waiting.
            let memory = self.desk.store().recall(delivery.follower).await;
            let memory =
                memory.inspect_err(|error| tracing::error!(%error, "a follower's memory cannot be read"));
            let ends = memory.ok().and_then(|memory| memory.window.open(now)).map(|right| right.ends);
            ordered.push((ends, delivery));
        }
        // What has no window comes last: it only has to be noted.
        ordered.sort_by_key(|(ends, _)| (ends.is_none(), *ends));
        ordered.into_iter().map(|(_, delivery)| delivery).collect()
    }

    async fn send_all(&self, due: Vec<Delivery>) -> Result<()> {
        let (mut waiting, mut sending) = (due.into_iter(), JoinSet::new());
        let mut all = Ok(());
        loop {
            while sending.len() < AT_ONCE
                && let Some(delivery) = waiting.next()
            {
                let courier = self.clone();
                sending.spawn(async move { courier.deliver(&delivery).await });
            }
            // All are finished before an error counts: what WeChat took must be noted.
            let Some(sent) = sending.join_next().await else { return all };
            all = all.and(sent.unwrap_or_else(|error| {
                tracing::error!(%error, "a sending came to nothing; it goes again when its lease ends");
                Ok(())
            }));
        }
    }

    fn tell_trouble(&self) {
        match self.client.trouble() {
            Some(trouble) => {
                self.notices.put("wechat", format!("微信接口（自{}起）：{}", trouble.since, trouble.sentence))
            }
            None => self.notices.clear("wechat"),
        }
    }

    /// Works until told to stop; a sending under way is finished.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let bell = self.desk.courier_bell();
        while !*stop.borrow() {
            // Asked for before looking: a message promised meanwhile rings, and is not slept through.
            let rung = bell.notified();
            if let Err(error) = self.round_until(|| *stop.borrow()).await {
                tracing::error!(%error, "a delivery round failed");
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep(NAP) => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn deliver(&self, delivery: &Delivery) -> Result<()> {
        let Some(openid) = self.desk.store().openid(delivery.follower).await? else {
            return self.give_up(delivery, Refused::new("用户的资料已删除", Later::Never)).await;
        };
        let (openid, memory) = (OpenId::new(openid), self.desk.store().recall(delivery.follower).await?);
        let now = self.clock.now();
        // What WeChat would refuse is not asked of it.
        let refused = match (self.shut.why(Channel::Custom, now), memory.window.may_send(now)) {
            (Some(why), _) => Refused::new(why, Later::InReply),
            (None, Err(shut)) => Refused::new(closed(shut), Later::OnContact),
            (None, Ok(_)) => match self.send(delivery, &openid).await? {
                Some(refused) => refused,
                None => return Ok(()),
            },
        };
        let mut refused = Refused { tried_at: now, ..refused };
        if refused.later == Later::InReply && delivery.picture.is_some() && !delivery.text.contains("<a ") {
            refused.later = Later::Never;
            refused.why += "；图片不能随回复送达，请改用文字";
        }
        if refused.later != Later::Never && !refused.is_unreachable {
            refused.rungs = self.climb(delivery, &openid, &memory).await?;
        }
        self.give_up(delivery, refused).await
    }

    /// Sends it as a customer-service message; what comes back could not be sent, now or ever.
    async fn send(&self, delivery: &Delivery, openid: &OpenId) -> Result<Option<Refused>> {
        match self.hand_over(delivery, openid).await {
            Outcome::Sent => {
                self.shut.open(Channel::Custom);
                self.notices.clear("customer-service");
                let key = format!("sent {} {}", delivery.id.0, delivery.n_tries);
                self.desk.note(delivery.follower, &key, Event::Delivered(delivery.id)).await?;
                Ok(None)
            }
            Outcome::Transient { why, after } => self.later(delivery, why, after).await,
            Outcome::Refused { code, why, kind } => {
                tracing::info!(code, delivery = delivery.id.0, "WeChat refused a message");
                let (later, shut) = match kind {
                    RefusedKind::WindowClosed => (Later::OnContact, Some(Shut::Closed)),
                    RefusedKind::CountSpent => (Later::OnContact, Some(Shut::Spent)),
                    RefusedKind::Unreachable | RefusedKind::NextRung | RefusedKind::Unknown => {
                        (Later::OnContact, None)
                    }
                    RefusedKind::NotAllowed => {
                        self.shut.shut(Channel::Custom, &why, self.clock.now());
                        self.notices.put(
                            "customer-service",
                            format!("不能主动发送：{why}。答复改在用户下次来信时送达。"),
                        );
                        (Later::InReply, None)
                    }
                    RefusedKind::Invalid => (Later::Never, None),
                };
                let is_unreachable = kind == RefusedKind::Unreachable;
                Ok(Some(Refused { shut, is_unreachable, ..Refused::new(why, later) }))
            }
        }
    }

    async fn hand_over(&self, delivery: &Delivery, openid: &OpenId) -> Outcome {
        let (Some(file), Some(mailroom)) = (delivery.picture, self.desk.mailroom()) else {
            return self.client.custom_text(openid, &delivery.text, false).await;
        };
        let why_not = |why| Outcome::Refused { code: NO_SUCH_MEDIA, why, kind: RefusedKind::Invalid };
        let mut n_tries = 0;
        let refused = loop {
            // A picture WeChat has forgotten is lent to it once more.
            let anew = n_tries > 0;
            n_tries += 1;
            let media_id = match mailroom.lend(delivery.ticket, file, anew).await {
                Ok(media_id) => media_id,
                Err(error) if error.passing => {
                    return Outcome::Transient { why: error.why, after: error.after };
                }
                Err(error) => {
                    tracing::warn!(%error, delivery = delivery.id.0, "a picture cannot be sent as one");
                    break why_not(error.why);
                }
            };
            match self.client.send(openid, &Outgoing::Image { media_id }, false).await {
                Outcome::Refused { code: NO_SUCH_MEDIA, .. } if !anew => {}
                Outcome::Refused { code: NO_SUCH_MEDIA, why, .. } => break why_not(why),
                outcome => return outcome,
            }
        };
        // Words say where it is, if it is anywhere.
        if delivery.text.contains("<a ") {
            self.client.custom_text(openid, &delivery.text, false).await
        } else {
            refused
        }
    }

    /// Puts a message off whose sending failed in passing; what comes back has been tried often enough.
    async fn later(
        &self,
        delivery: &Delivery,
        why: String,
        after: Option<Duration>,
    ) -> Result<Option<Refused>> {
        let now = self.clock.now();
        if let Some(after) = after {
            // Nothing was sent, because nothing can be until an operator or the clock has helped: no try of this message.
            let at = now.after(after + jitter(after));
            self.desk.store().postpone(delivery.id, at, &why, false).await?;
            return Ok(None);
        }
        let n_since = delivery.n_tries.saturating_sub(delivery.n_before);
        let Some(wait) = self.config.retry_after.get(usize::from(n_since.saturating_sub(1))) else {
            return Ok(Some(Refused::new(format!("试了 {n_since} 次没有发出：{why}"), Later::OnContact)));
        };
        self.desk.store().postpone(delivery.id, now.after(*wait + jitter(*wait)), &why, true).await?;
        Ok(None)
    }

    async fn give_up(&self, delivery: &Delivery, refused: Refused) -> Result<()> {
        let key = format!("refused {} {}", delivery.id.0, delivery.n_tries);
        let (ticket, text) = (delivery.ticket, delivery.text.clone());
        let Refused { why, later, shut, tried_at, rungs, .. } = refused;
        let delivery_id = delivery.id;
        let event =
            Event::Undeliverable { delivery: delivery_id, ticket, text, why, later, shut, tried_at, rungs };
        self.desk.note(delivery.follower, &key, event).await
    }
}

/// A message that does not go, and why.
struct Refused {
    why: String,
    later: Later,
    shut: Option<Shut>,
    tried_at: Timestamp,
    /// No notice would reach this person either.
    is_unreachable: bool,
    rungs: Vec<Rung>,
}

impl Refused {
    fn new(why: impl Into<String>, later: Later) -> Self {
        let tried_at = Timestamp::default();
        Self { why: why.into(), later, shut: None, tried_at, is_unreachable: false, rungs: Vec::new() }
    }
}

/// Why nothing is sent, before WeChat is asked.
fn closed(shut: Shut) -> &'static str {
    match shut {
        Shut::Closed => "对方来信已超过微信的互动时限，不能主动发送",
        Shut::Spent => "对方来信后可主动发送的条数已用完",
    }
}

/// Up to a tenth more, so that messages that failed together do not come back together.
fn jitter(wait: Duration) -> Duration {
    let mut byte = [0_u8];
    // Without randomness there is no jitter; nothing depends on it.
    let _ = getrandom::fill(&mut byte);
    wait.mul_f64(f64::from(byte[0]) / 2550.0)
}
