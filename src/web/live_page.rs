//! The live stream (SSE): tells an open page that something it may hear of has changed; the page then fetches its fragment. A
//! page that was away resumes by its cursor. While a ticket's page listens, colleagues see who looks at it. Knows the stream;
//! what is news is `live`'s business, for whom `access`'s.

use super::Hall;
use super::error::WebError;
use super::page::query;
use super::session::StaffUser;
use super::words::number_from_path;
use crate::live::{Live, Mark};
use crate::ticket::Ticket;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many pages listen at once.
const MAX_LISTENERS: usize = 256;
/// After a change nothing more is told for so long: a flood is one piece of news.
const BREATH: Duration = Duration::from_millis(300);
/// So often somebody is noted as still here, and it is looked whether they may still listen.
const STILL_HERE: Duration = Duration::from_secs(15);
/// After so long a browser asks again.
const RETRY: Duration = Duration::from_millis(500);
/// A stream ends by itself after so long; the page asks again.
const MAX_BEATS: u32 = 240;

static PLACES: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_LISTENERS)));

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    after: String,
    ticket: String,
}

/// Somebody at a ticket, for as long as the stream is open.
struct Presence {
    hall: Arc<Hall>,
    ticket: Option<Ticket>,
    name: String,
    _place: OwnedSemaphorePermit,
}

impl Presence {
    fn beat(&self) {
        if let Some(ticket) = &self.ticket
            && self.live().is_here(ticket.id, &self.name, false, self.hall.now())
        {
            self.live().announce(ticket);
        }
    }

    fn live(&self) -> &Arc<Live> {
        self.hall.console.desk.live()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        if let Some(ticket) = &self.ticket {
            self.live().has_left(ticket.id, &self.name);
            self.live().announce(ticket);
        }
    }
}

/// The stream.
pub(super) async fn listen(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    headers: HeaderMap,
    uri: Uri,
) -> Result<impl IntoResponse, WebError> {
    let asked: Asked = query(&uri);
    let place = PLACES.clone().try_acquire_owned().map_err(|_| WebError::Busy)?;
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let live = hall.console.desk.live().clone();
    // A cursor that cannot be read is one of nobody: the page loads itself anew.
    let mark = resumed.or(Some(&asked.after)).and_then(Mark::parse).unwrap_or_else(|| live.mark());
    let ticket = match number_from_path(&asked.ticket) {
        Some(number) => hall.store().numbered(number).await?,
        None => None,
    };
    let sight = hall.sight(&user).await?;
    let ticket = ticket.filter(|ticket| sight.sees(ticket));
    let presence = Presence { hall: hall.clone(), ticket, name: user.staff.name.clone(), _place: place };
    presence.beat();
    let beat = tokio::time::interval(STILL_HERE);
    let news = futures_util::stream::unfold(
        (presence, user, mark, live.bell(), (beat, 0_u32)),
        move |(presence, user, mark, mut bell, (mut beat, mut n_beats))| async move {
            loop {
                let hall = &presence.hall;
                // However much happens: somebody who looks on is still here.
                if beat.tick().now_or_never().is_some() {
                    presence.beat();
                    n_beats += 1;
                }
                if presence.live().is_closed() || n_beats > MAX_BEATS {
                    return None;
                }
                // Somebody who was let go, or whose rights have changed, hears no more or otherwise.
                let user = still_in(hall, &user).await?;
                let sight = hall.sight(&user).await.ok()?;
                let now = presence.live().mark();
                if presence.live().changed_since(mark, &sight) {
                    let event = Event::default().id(now.to_string()).event("change").data("1");
                    tokio::time::sleep(BREATH).await;
                    return Some((Ok::<_, Infallible>(event), (presence, user, now, bell, (beat, n_beats))));
                }
                bell.mark_unchanged();
                if presence.live().changed_since(now, &sight) {
                    continue;
                }
                tokio::select! {
                    changed = bell.changed() => changed.ok()?,
                    _ = beat.tick() => {
                        presence.beat();
                        n_beats += 1;
                    }
                }
            }
        },
    );
    // A stream that ends is asked for again before anybody is told that it is gone.
    let first = Event::default().retry(RETRY).comment("");
    let stream = futures_util::stream::once(async { Ok(first) }).chain(news);
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(STILL_HERE)))
}

/// The same member of staff, if their session goes on and they may still come in.
async fn still_in(hall: &Hall, user: &StaffUser) -> Option<StaffUser> {
    let session = hall.store().session(&user.session).await.ok()??;
    let staff = hall.store().staff(&session.staff).await.ok()??;
    let is_on = session.ends_at.min(session.dies_at) > hall.now() && staff.mark() == session.mark;
    is_on.then_some(StaffUser { staff, session: user.session })
}
