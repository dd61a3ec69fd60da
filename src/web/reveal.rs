//! Personal numbers stand masked in the console; who needs one asks for it with a click, which is audited and counts for ten
//! minutes, for that session and that ticket. Knows who has asked; what a number is knows `mask`.

use super::Hall;
use super::error::WebError;
use super::form::Fields;
use super::session::StaffUser;
use super::ticket_page::{back, in_audit, own_list};
use crate::access;
use crate::audit::Deed;
use crate::clock::Timestamp;
use crate::store::TokenHash;
use crate::ticket::{Ticket, TicketId};
use axum::response::Response;
use rustc_hash::FxHashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// So long numbers stay readable.
const LASTS: Duration = Duration::from_secs(600);
/// So many are readable at once.
const MAX: usize = 4_096;

/// Who has asked for the numbers of which ticket.
#[derive(Default)]
pub(super) struct Reveals {
    until: Mutex<FxHashMap<(TokenHash, TicketId), Timestamp>>,
    /// Looks at confidential tickets that have been noted: a page refreshes itself.
    looked: Mutex<FxHashMap<(TokenHash, TicketId), Timestamp>>,
}

impl Reveals {
    fn at(&self, now: Timestamp) -> MutexGuard<'_, FxHashMap<(TokenHash, TicketId), Timestamp>> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.len() >= MAX {
            until.retain(|_, until| *until > now);
        }
        until
    }

    /// Whether this session's look at a confidential ticket has to be noted: it is the first for ten minutes.
    pub fn is_first_look(&self, user: &StaffUser, ticket: &Ticket, now: Timestamp) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.len() >= MAX {
            looked.retain(|_, until| *until > now);
        }
        let before = looked.get(&(user.session, ticket.id)).is_some_and(|until| *until > now);
        if !before && looked.len() < MAX {
            looked.insert((user.session, ticket.id), now.after(LASTS));
        }
        !before
    }

    /// Whether this session may read the numbers of this ticket now.
    pub fn holds(&self, user: &StaffUser, ticket: &Ticket, now: Timestamp) -> bool {
        self.at(now).get(&(user.session, ticket.id)).is_some_and(|until| *until > now)
    }
}

/// Somebody asks for the numbers: noted first, shown then.
pub(super) async fn reveal(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    fields: &Fields,
) -> Result<Response, WebError> {
    if !access::may_work(&user.staff) {
        return Err(WebError::Forbidden("您的账号是只读的，不能查看完整号码。"));
    }
    let now = hall.now();
    hall.store().audit(Deed::new(now, &user.staff.name, "查看完整号码", &in_audit(ticket))).await?;
    let mut until = hall.reveals.at(now);
    if until.len() < MAX {
        until.insert((user.session, ticket.id), now.after(LASTS));
    }
    drop(until);
    Ok(back(ticket, "reveal", own_list(fields.get("list"))))
}
