//! Search over tickets and who asked them, by words, number, telephone, enterprise. Knows the page; what is found and for whom
//! is `finding`'s and `access`'s business.

use super::Hall;
use super::error::WebError;
use super::inbox_rows::who;
use super::page::{Frame, query, render};
use super::session::StaffUser;
use super::words::{dated, number_in_path, stage_class};
use crate::finding::MAX_FOUND;
use crate::knowledge::{normalise, shorten};
use crate::mask::mask;
use crate::ticket::{Author, Line, Ticket};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

/// Of a line in which a word was found so many characters are shown, from some before it on.
const SNIPPET: usize = 90;
const BEFORE: usize = 20;
/// People listed above the tickets.
const MAX_PEOPLE: usize = 8;

#[derive(Template)]
#[template(path = "search.html")]
struct SearchPage {
    frame: Frame,
    asked: String,
    found: Vec<Found>,
    people: Vec<(String, usize)>,
    /// There may be more.
    full: bool,
    max: usize,
}

struct Found {
    href: String,
    number: String,
    subject: String,
    stage: &'static str,
    stage_class: &'static str,
    category: &'static str,
    department: &'static str,
    who: String,
    opened: String,
    snippet: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    q: String,
}

/// The page. What is exactly one ticket's number leads there.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: String = query::<Asked>(&uri).q.trim().chars().take(64).collect();
    let sight = hall.sight(&user).await?;
    let tickets = match hall.console.desk.finding() {
        Some(finding) if !asked.is_empty() => finding.find(hall.store(), &asked, &sight).await?,
        _ => Vec::new(),
    };
    if let [only] = tickets.as_slice()
        && let Some(number) = only.number
        && [number.to_string(), number_in_path(number)].contains(&asked)
    {
        return Ok(Redirect::to(&format!("/console/tickets/{}", number_in_path(number))).into_response());
    }
    let mut found = Vec::with_capacity(tickets.len());
    let mut people: Vec<(String, usize)> = Vec::new();
    for ticket in &tickets {
        let lines = hall.store().lines(ticket.id).await?;
        let memory = hall.store().recall(ticket.follower).await?;
        let name = who(&memory);
        if let Some((_, n)) = people.iter_mut().find(|(known, _)| *known == name) {
            *n += 1;
        } else if !name.is_empty() && people.len() < MAX_PEOPLE {
            people.push((name.clone(), 1));
        }
        found.extend(shown(&hall, ticket, &lines, (name, &asked)));
    }
    let (full, max) = (tickets.len() >= MAX_FOUND, MAX_FOUND);
    let frame = Frame::of("搜索", "queue", &user, &hall.keys)?;
    render(StatusCode::OK, &SearchPage { frame, asked, found, people, full, max })
}

fn shown(hall: &Hall, ticket: &Ticket, lines: &[Line], (who, asked): (String, &str)) -> Option<Found> {
    let number = ticket.number?;
    Some(Found {
        href: format!("/console/tickets/{}", number_in_path(number)),
        number: number_in_path(number),
        subject: mask(&ticket.subject).into_owned(),
        stage: ticket.stage.name(),
        stage_class: stage_class(ticket.stage),
        category: ticket.category.name(),
        department: ticket.department.name(),
        who,
        opened: dated(ticket.opened_at, hall.now()),
        snippet: snippet(lines, asked),
    })
}

/// The last line of people's in which the first word stands, from a little before it on.
fn snippet(lines: &[Line], asked: &str) -> Option<String> {
    let word = asked.split_whitespace().next()?;
    let by_people = lines.iter().rev().filter(|line| !matches!(line.author, Author::Bot | Author::System));
    let mut lines = by_people.filter_map(|line| {
        // Hidden first, cut then: half a number is not known for one.
        let text = mask(&line.text);
        let at = text.find(word).or_else(|| normalise(&line.text).contains(&normalise(word)).then_some(0))?;
        let skipped = text[..at].chars().count().saturating_sub(BEFORE);
        let rest: String = text.chars().skip(skipped).collect();
        let dots = if skipped > 0 { "…" } else { "" };
        Some(format!("{dots}{}", shorten(&rest, SNIPPET)).replace('\n', " "))
    });
    lines.next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_snippet_begins_a_little_before_the_word_and_hides_numbers() {
        let line = |author, text: String| Line {
            at: Timestamp(0),
            author,
            text: text.into(),
            delivery: None,
            enclosure: None,
        };
        let long = format!("{}房租能不能减，电话13800138000", "前".repeat(50));
        let lines = [line(Author::Follower, long), line(Author::Bot, "房租减免".into())];
        let shown = snippet(&lines, "房租 减免").unwrap();
        assert!(
            shown.starts_with('…') && shown.contains("房租能不能减") && !shown.contains("13800138000"),
            "{shown}"
        );
        assert_eq!(snippet(&lines, "社保"), None);
    }
}
