//! What stands beside a ticket: who asks and their other tickets, what the bot had considered, and the forms by which a ticket
//! is handed on, sorted and put aside. Knows what is offered to whom; the page around it is `ticket_page`'s.

use super::Hall;
use super::error::WebError;
use super::session::StaffUser;
use super::words::{moment, number_in_path};
use crate::access::{self, Sight};
use crate::conversation::Act;
use crate::desk::Handbook;
use crate::knowledge::{Category, Department, EntryId};
use crate::mask::mask;
use crate::ticket::{Considered, Departments, Extension, ForLead, Profile, Stage, Ticket};
use jiff::civil::Date;
use std::sync::Arc;

/// Of a follower's other tickets so many are listed.
const MAX_OTHERS: usize = 12;

/// What stands beside a ticket.
pub(super) struct Side {
    pub profile: Profile,
    /// Personal numbers are shown as they are.
    pub revealed: bool,
    /// There is something to be revealed.
    pub hides: bool,
    pub others: Vec<OtherTicket>,
    pub thoughts: Vec<Thought>,
    /// May anything be changed.
    pub may_work: bool,
    /// The clock runs: the ticket can be handed on, put aside, extended.
    pub is_open: bool,
    pub is_over: bool,
    pub is_merged: bool,
    pub colleagues: Vec<Named>,
    /// It may be given to others.
    pub may_assign: bool,
    /// Where it may go; empty where it may not.
    pub transfers: Vec<&'static str>,
    /// The duty lead decides; departments.
    pub decides: Vec<&'static str>,
    pub helpers: Vec<Named>,
    pub extension: Option<Extension>,
    pub asked_for: String,
    pub may_grant: bool,
    pub categories: Vec<Named>,
    pub labels: String,
    pub known_labels: Vec<String>,
    pub watches: bool,
    pub watchers: String,
    pub confidential: bool,
    pub snoozed: bool,
    pub snoozes: Vec<(String, &'static str)>,
}

/// A choice, and whether it is the one now.
pub(super) struct Named {
    pub name: String,
    pub here: bool,
    /// What one should know before choosing it.
    pub hint: String,
}

/// Another ticket of the same follower's.
pub(super) struct OtherTicket {
    pub href: String,
    pub number: String,
    pub stage: &'static str,
    pub subject: String,
}

/// An entry the bot had considered.
pub(super) struct Thought {
    /// Its title; its name, if it is no longer there.
    pub title: String,
    /// Where its answer can be read.
    pub href: Option<String>,
    /// Confidence.
    pub percent: u8,
    /// The follower has seen it.
    pub shown: bool,
    /// Why it was considered: the phrasing that is nearest in words.
    pub nearest: Option<String>,
}

/// What stands beside this ticket for who looks at it.
pub(super) async fn side(
    hall: &Hall,
    user: &StaffUser,
    ticket: &Ticket,
    sight: &Sight,
) -> Result<Side, WebError> {
    let memory = hall.store().recall(ticket.follower).await?;
    let handbook = hall.console.desk.handbook();
    let may = |act: &Act| access::may(&user.staff, sight, ticket, act).is_ok();
    let is_open = ticket.stage.is_open();
    let names = |is: bool, own: Option<Department>| -> Vec<&'static str> {
        let others = Department::ALL.into_iter().filter(|one| is && Some(*one) != own);
        others.map(Department::name).collect()
    };
    let transfer = Act::Transfer(ticket.department, String::new());
    let may_transfer =
        is_open && !ticket.is_settled && ticket.for_lead != Some(ForLead::Disputed) && may(&transfer);
    let decide = Act::Decide(ticket.department, String::new());
    let may_decide = ticket.for_lead == Some(ForLead::Disputed) && may(&decide);
    let shown = hall.reveals.holds(user, ticket, hall.now());
    Ok(Side {
        profile: shown_profile(&memory.profile, shown),
        revealed: shown,
        hides: ticket.stage != Stage::Left,
        others: others(&memory.tickets, ticket, sight),
        thoughts: thoughts(ticket, &handbook, hall.now().date()),
        may_work: access::may_work(&user.staff) && ticket.stage != Stage::Left,
        is_open,
        is_over: ticket.stage.is_over(),
        is_merged: ticket.stage == Stage::Merged,
        colleagues: colleagues(hall, ticket).await?,
        may_assign: is_open && may(&Act::Assign(None)),
        transfers: names(may_transfer, Some(ticket.department)),
        decides: names(may_decide, None),
        helpers: match may(&Act::Share(Departments::default())) {
            true => {
                named(names(true, Some(ticket.department)).into_iter().map(str::to_owned).collect(), |name| {
                    Department::by_name(name).is_some_and(|one| ticket.helpers.has(one))
                })
            }
            false => Vec::new(),
        },
        asked_for: ticket.extension.as_ref().map(|asked| moment(asked.at, hall.now())).unwrap_or_default(),
        extension: ticket.extension.clone(),
        may_grant: may(&Act::DecideExtension(true, String::new())),
        categories: named(Category::ALL.into_iter().map(|one| one.name().to_owned()).collect(), |name| {
            name == ticket.category.name()
        }),
        labels: ticket.labels.join("，"),
        known_labels: hall.store().labels().await?,
        watches: ticket.watchers.contains(&user.staff.name),
        watchers: ticket.watchers.join("、"),
        confidential: ticket.is_confidential,
        snoozed: ticket.snoozed_until.is_some_and(|until| until > hall.now()),
        snoozes: snoozes(hall),
    })
}

/// Who may be given the ticket; who is away is shown with who stands in.
async fn colleagues(hall: &Hall, ticket: &Ticket) -> Result<Vec<Named>, WebError> {
    let now = hall.now();
    let staff = hall.store().all_staff().await?.into_iter().filter(access::may_work);
    let named = staff.map(|one| Named {
        here: ticket.assignee.as_ref() == Some(&one.name),
        hint: one.away_at(now).map(|away| format!("（外出，由{}代）", away.deputy)).unwrap_or_default(),
        name: one.name,
    });
    Ok(named.collect())
}

fn named(names: Vec<String>, here: impl Fn(&str) -> bool) -> Vec<Named> {
    names.into_iter().map(|name| Named { here: here(&name), name, hint: String::new() }).collect()
}

fn shown_profile(profile: &Profile, revealed: bool) -> Profile {
    let field = |field: &Option<Arc<str>>| {
        field.as_ref().map(|text| if revealed { text.clone() } else { mask(text).into_owned().into() })
    };
    Profile {
        alias: field(&profile.alias),
        phone: field(&profile.phone),
        enterprise: field(&profile.enterprise),
        building: field(&profile.building),
    }
}

/// Until when something is usually put aside, in working time.
fn snoozes(hall: &Hall) -> Vec<(String, &'static str)> {
    let handbook = hall.console.desk.handbook();
    let mut at = hall.now();
    let mut moments = Vec::new();
    for (n_days, name) in [(1, "下个工作日 10:00"), (2, "三个工作日后"), (2, "五个工作日后")]
    {
        for _ in 0..n_days {
            at = handbook.calendar.next_workday(at);
        }
        moments.push((at.local().strftime("%Y-%m-%dT%H:%M").to_string(), name));
    }
    moments
}

fn others(tickets: &[Ticket], ticket: &Ticket, sight: &Sight) -> Vec<OtherTicket> {
    let mut others: Vec<&Ticket> =
        tickets.iter().filter(|other| other.id != ticket.id && sight.sees(other)).collect();
    others.sort_by_key(|other| std::cmp::Reverse(other.opened_at));
    let other = |other: &&Ticket| {
        let number = other.number?;
        Some(OtherTicket {
            href: format!("/console/tickets/{}", number_in_path(number)),
            number: number.to_string(),
            stage: other.stage.name(),
            subject: mask(&other.subject).into_owned(),
        })
    };
    others.iter().take(MAX_OTHERS).filter_map(other).collect()
}

/// What the bot had considered, as links to the entries, each with the phrasing of it that is nearest to the question.
fn thoughts(ticket: &Ticket, handbook: &Handbook, today: Date) -> Vec<Thought> {
    if ticket.considered.is_empty() {
        return Vec::new();
    }
    let asked = handbook.knowledge.ask(&ticket.subject, None, today);
    let nearest = |id: &EntryId| {
        let candidate = asked.candidates.iter().find(|candidate| candidate.entry.id == *id)?;
        candidate.phrase.as_ref().map(|phrase| phrase.to_string())
    };
    let thought = |considered: &Considered| {
        let entry = handbook.knowledge.entry(&considered.entry);
        Thought {
            title: entry.map_or_else(|| considered.entry.to_string(), |entry| entry.title.clone()),
            href: entry.map(|entry| format!("/console/knowledge/{}", entry.id)),
            percent: considered.percent,
            shown: considered.shown,
            nearest: nearest(&considered.entry),
        }
    };
    ticket.considered.iter().map(thought).collect()
}
