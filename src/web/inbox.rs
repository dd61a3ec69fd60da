//! The inbox: which tickets, of whom, in which order; saved lists; pages by cursor. Knows the address and what stands around
//! the rows; which tickets somebody sees is `access`'s rule, the order is the store's.

use super::Hall;
use super::error::WebError;
use super::form::Posted;
use super::inbox_rows::{Row, rows};
use super::page::{Frame, query, render};
use super::session::StaffUser;
use crate::access::{self, Sight};
use crate::knowledge::{Category, Department};
use crate::store::{Counts, Cursor, Filter, Query, SavedView, Shelf, Sort, View};
use crate::ticket::{Origin, TicketId};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use std::sync::Arc;

/// Tickets on a page.
const PAGE: usize = 40;
/// Lists somebody keeps, and the longest name of one.
const MAX_SAVED: usize = 20;
const MAX_NAME_CHARS: usize = 16;
/// No filter is longer.
const MAX_FILTER_CHARS: usize = 30;

#[derive(Template)]
#[template(path = "inbox.html")]
struct InboxPage {
    frame: Frame,
    live: InboxLive,
    here: String,
    asked: Asked,
    choices: Choices,
    colleagues: Vec<String>,
    may_work: bool,
    /// What was done to several tickets at once.
    done: String,
    /// What was not, and why.
    kept: Vec<String>,
    mark: String,
}

/// The part of the page that is fetched again and again.
#[derive(Template)]
#[template(path = "inbox_live.html")]
struct InboxLive {
    title: String,
    notices: Vec<String>,
    views: Vec<Tab>,
    saved: Vec<Tab>,
    shelves: Vec<Tab>,
    /// What stands over the badges.
    about: &'static str,
    rows: Vec<Row>,
    first: String,
    next: String,
    empty: [&'static str; 2],
    /// How many filters hold back rows.
    n_filters: usize,
    /// The same list without them.
    unfiltered: String,
}

struct Tab {
    name: String,
    count: String,
    href: String,
    here: bool,
    /// What it is called in a form.
    slug: String,
}

/// What filters can be set to.
struct Choices {
    sorts: [(&'static str, &'static str); 4],
    categories: Vec<&'static str>,
    departments: Vec<&'static str>,
    labels: Vec<String>,
    origins: [&'static str; 3],
    people: Vec<String>,
}

/// What stands in the address.
#[derive(Clone, Debug, Deserialize, Default, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Asked {
    pub view: String,
    pub shelf: String,
    pub sort: String,
    pub cat: String,
    pub dept: String,
    pub label: String,
    pub origin: String,
    pub who: String,
    pub late: String,
    pub after: String,
    pub fragment: String,
    pub done: String,
}

const VIEWS: [(&str, &str); 7] = [
    ("mine", "我的"),
    ("free", "未分派"),
    ("dept", "本部门"),
    ("", "全部"),
    ("watched", "已关注"),
    ("lead", "待审"),
    ("calls", "待回访"),
];
const SHELVES: [(Shelf, &str, &str); 4] = [
    (Shelf::Open, "", "待办"),
    (Shelf::Answered, "answered", "已答复"),
    (Shelf::Snoozed, "snoozed", "挂起"),
    (Shelf::Done, "done", "已办结"),
];
const SORTS: [(Sort, &str, &str); 4] = [
    (Sort::Urgency, "urgent", "最急的在前"),
    (Sort::Waiting, "waiting", "等得最久的在前"),
    (Sort::Newest, "newest", "最新提交的在前"),
    (Sort::Changed, "changed", "最近有变动的在前"),
];

impl Asked {
    fn shelf(&self) -> Shelf {
        SHELVES.iter().find(|(_, slug, _)| *slug == self.shelf).map_or(Shelf::Open, |(shelf, ..)| *shelf)
    }

    fn sort(&self) -> Sort {
        let usual = if self.shelf() == Shelf::Open { Sort::Urgency } else { Sort::Changed };
        SORTS.iter().find(|(_, slug, _)| *slug == self.sort).map_or(usual, |(sort, ..)| *sort)
    }

    fn view(&self, own: Option<Department>) -> View {
        match (self.view.as_str(), own) {
            ("mine", _) => View::Mine,
            ("free", _) => View::Unassigned,
            ("dept", Some(own)) => View::Department(own),
            ("watched", _) => View::Watched,
            ("lead", _) => View::ForLead,
            ("calls", _) => View::CallBacks,
            _ => View::All,
        }
    }

    fn filter(&self) -> Filter {
        let text = |text: &String| {
            (!text.is_empty() && text.chars().count() <= MAX_FILTER_CHARS).then(|| text.clone())
        };
        Filter {
            category: Category::ALL.into_iter().find(|category| category.name() == self.cat),
            department: Department::by_name(&self.dept),
            label: text(&self.label),
            origin: ORIGINS.into_iter().find(|origin| origin.name() == self.origin),
            assignee: text(&self.who),
            is_overdue: self.late == "1",
        }
    }

    fn n_filters(&self) -> usize {
        let set = [&self.cat, &self.dept, &self.label, &self.origin, &self.who, &self.late];
        set.into_iter().filter(|text| !text.is_empty()).count()
    }

    /// The question for the store.
    pub fn query(&self, user: &StaffUser, sight: Sight, hall: &Hall) -> Query {
        Query {
            sight,
            view: self.view(user.staff.department),
            shelf: self.shelf(),
            filter: self.filter(),
            sort: self.sort(),
            after: cursor(&self.after),
            limit: PAGE,
            now: hall.now(),
        }
    }

    /// The address of this list from its beginning, without what is usual.
    pub fn address(&self) -> String {
        let mut parts = form_urlencoded::Serializer::new(String::new());
        let fields = [
            ("view", &self.view),
            ("shelf", &self.shelf),
            ("sort", &self.sort),
            ("cat", &self.cat),
            ("dept", &self.dept),
            ("label", &self.label),
            ("origin", &self.origin),
            ("who", &self.who),
            ("late", &self.late),
            ("after", &self.after),
        ];
        for (name, value) in fields {
            if !value.is_empty() {
                parts.append_pair(name, value);
            }
        }
        let query = parts.finish();
        if query.is_empty() { "/console".into() } else { format!("/console?{query}") }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> String {
        let mut asked = Self { after: String::new(), ..self.clone() };
        change(&mut asked);
        asked.address()
    }
}

const ORIGINS: [Origin; 3] = [Origin::Wechat, Origin::Phone, Origin::WalkIn];

/// A cursor in an address: place and ticket.
fn cursor(text: &str) -> Option<Cursor> {
    let (at, ticket) = text.split_once('.')?;
    Some(Cursor { at: at.parse().ok()?, ticket: TicketId(u64::from_str_radix(ticket, 16).ok()?) })
}

fn cursor_text(cursor: Cursor) -> String {
    format!("{}.{:x}", cursor.at, cursor.ticket.0)
}

/// The list.
pub(super) async fn show(
    State(hall): State<Arc<Hall>>,
    user: StaffUser,
    uri: Uri,
) -> Result<Response, WebError> {
    let asked: Asked = query(&uri);
    if asked.fragment == "1" {
        return render(StatusCode::OK, &live(&hall, &user, &asked).await?);
    }
    let done = match asked.done.as_str() {
        "saved" => "这个列表已经存到左边的“我的列表”。",
        "dropped" => "已从“我的列表”里删去。",
        "sent" => "已记下。这个列表里没有下一张了。",
        _ => "",
    };
    page(&hall, &user, asked.clone(), (StatusCode::OK, done.to_owned(), Vec::new())).await
}

/// The page, after something was done to several tickets.
pub(super) async fn page(
    hall: &Hall,
    user: &StaffUser,
    asked: Asked,
    (status, done, kept): (StatusCode, String, Vec<String>),
) -> Result<Response, WebError> {
    let live = live(hall, user, &asked).await?;
    let colleagues = hall.colleagues().await?;
    let choices = Choices {
        sorts: SORTS.map(|(_, slug, name)| (slug, name)),
        categories: Category::ALL.map(Category::name).to_vec(),
        departments: Department::ALL.map(Department::name).to_vec(),
        labels: hall.store().labels().await?,
        origins: ORIGINS.map(Origin::name),
        people: colleagues.clone(),
    };
    let frame = Frame::of(live.title.clone(), "queue", user, &hall.keys)?;
    let page = InboxPage {
        frame,
        live,
        here: asked.address(),
        asked,
        choices,
        colleagues,
        may_work: access::may_work(&user.staff),
        done,
        kept,
        mark: hall.console.desk.live().mark().to_string(),
    };
    render(status, &page)
}

async fn live(hall: &Hall, user: &StaffUser, asked: &Asked) -> Result<InboxLive, WebError> {
    let sight = hall.sight(user).await?;
    let query = asked.query(user, sight, hall);
    let counts = hall.store().counts(&query).await?;
    let page = hall.store().tickets(&query).await?;
    let saved = hall.store().saved_views(&user.staff.name).await?;
    let here = asked.address();
    let saved = saved.into_iter().map(|view| {
        let href = format!("/console?{}", view.query);
        Tab { here: href == here, slug: view.name.clone(), name: view.name, count: String::new(), href }
    });
    let shelves = SHELVES.iter().enumerate().map(|(n, (shelf, slug, name))| Tab {
        name: (*name).into(),
        count: counts.shelves[n].to_string(),
        href: asked.with(|asked| asked.shelf = (*slug).into()),
        here: *shelf == query.shelf && query.view != View::CallBacks,
        slug: (*slug).into(),
    });
    let shelves: Vec<Tab> = shelves.collect();
    let views = views(user, asked, &counts);
    let of_view = views.iter().find(|tab| tab.here).map_or("", |tab| tab.name.as_str());
    let of_shelf = shelves.iter().find(|tab| tab.here);
    let title = of_shelf.map_or_else(
        || format!("{of_view} {}", counts.views[6]),
        |tab| format!("{of_view} · {} {}", tab.name, tab.count),
    );
    let is_first = query.after.is_none();
    Ok(InboxLive {
        title,
        notices: hall.console.notices.all(),
        about: if matches!(query.shelf, Shelf::Open | Shelf::Snoozed) { "答复期限" } else { "评价" },
        rows: rows(hall, user, &page, &here).await?,
        first: if is_first { String::new() } else { asked.with(|_| ()) },
        next: page.next.map(|next| asked.with(|asked| asked.after = cursor_text(next))).unwrap_or_default(),
        empty: empty(&query, asked.n_filters() > 0, is_first),
        n_filters: asked.n_filters(),
        unfiltered: Asked { view: asked.view.clone(), shelf: asked.shelf.clone(), ..Asked::default() }
            .address(),
        views,
        saved: saved.collect(),
        shelves,
    })
}

fn views(user: &StaffUser, asked: &Asked, counts: &Counts) -> Vec<Tab> {
    let is_for_them = |slug: &str| match slug {
        "dept" => user.staff.department.is_some(),
        "lead" => matches!(user.staff.role, crate::staff::Role::Lead | crate::staff::Role::Admin),
        _ => true,
    };
    let tabs = VIEWS.iter().enumerate().filter(|(_, (slug, _))| is_for_them(slug));
    let tabs = tabs.map(|(n, (slug, name))| Tab {
        name: (*name).into(),
        count: counts.views[n].to_string(),
        href: Asked { view: (*slug).into(), ..Asked::default() }.address(),
        here: asked.view == *slug,
        slug: (*slug).into(),
    });
    let mut tabs: Vec<Tab> = tabs.collect();
    if tabs.iter().all(|tab| !tab.here) {
        tabs.iter_mut().filter(|tab| tab.slug.is_empty()).for_each(|tab| tab.here = true);
    }
    tabs
}

/// What stands in the place of rows where there are none: in short, and what that means.
fn empty(query: &Query, filtered: bool, is_first: bool) -> [&'static str; 2] {
    match (query.view, query.shelf) {
        _ if !is_first => ["后面没有了", ""],
        _ if filtered => ["没有符合条件的单子", "可以去掉一些筛选条件再看。"],
        (View::CallBacks, _) => {
            ["没有要回访的单子", "办结的第二天，微信里问不到的，会放在这里，请打电话回访。"]
        }
        (View::ForLead, _) => ["没有等您决定的单子", "延期申请、第二次退回的、不满意的，会放在这里。"],
        (View::Watched, _) => {
            ["还没有关注的单子", "在单子里点“关注”，或者同事在备注里 @ 您，就会出现在这里。"]
        }
        (View::Mine, Shelf::Open) => ["手上没有待办的单子", "从“未分派”里领取，或者等别人指派给您。"],
        (_, Shelf::Open) => ["没有待办的咨询单", "用户要求人工，或者机器人答不上来时，会出现在这里。"],
        (_, Shelf::Answered) => ["没有等待评价的单子", "答复过的单子会放在这里，七天里没有追问就自动办结。"],
        (_, Shelf::Snoozed) => ["没有挂起的单子", "挂起的单子到时间会自己回到待办。"],
        (_, Shelf::Done) => ["还没有办结的单子", "用户评价过、办结了的单子会放在这里。"],
    }
}

/// Keeps this list under a name, or drops one.
pub(super) async fn keep(State(hall): State<Arc<Hall>>, posted: Posted) -> Result<Response, WebError> {
    let form = posted.open()?;
    let name: String = form.fields.trimmed("name").chars().take(MAX_NAME_CHARS).collect();
    let mut views = hall.store().saved_views(&form.user.staff.name).await?;
    views.retain(|view| view.name != name);
    let drops = form.fields.get("drop") == "1";
    let query = form.fields.get("here").strip_prefix("/console").unwrap_or_default().trim_start_matches('?');
    if !drops {
        if name.is_empty() || query.len() > 1_000 {
            return Err(WebError::BadForm);
        }
        if views.len() >= MAX_SAVED {
            views.remove(0);
        }
        // A list begins at its beginning.
        let address = format!("/console?{query}").parse().unwrap_or_default();
        let from_start = super::page::query::<Asked>(&address).with(|_| ());
        let query =
            from_start.strip_prefix("/console").unwrap_or_default().trim_start_matches('?').to_owned();
        views.push(SavedView { name, query });
    }
    hall.store().put_saved_views(&form.user.staff.name, &views).await?;
    let join = if query.is_empty() { String::new() } else { format!("{query}&") };
    let said = if drops { "done=dropped" } else { "done=saved" };
    Ok(Redirect::to(&format!("/console?{join}{said}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_one_address_and_a_cursor_survives_it() {
        let asked = Asked { shelf: "done".into(), dept: "经发办".into(), ..Asked::default() };
        let address = asked.address();
        assert_eq!(query::<Asked>(&address.parse().unwrap()), asked);
        assert_eq!(Asked::default().address(), "/console");
        let at = Cursor { at: -5, ticket: TicketId(255) };
        assert_eq!(cursor(&cursor_text(at)), Some(at));
        for bad in ["", "1", "1.zz", "x.1"] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }
}
