//! What happens to a ticket between people of the office: where it came from, who it went through, what was asked for and
//! is not decided. Knows shapes and their bounds; when each is allowed is `conversation`'s business.

use crate::clock::Timestamp;
use crate::knowledge::Department;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How content the asker was: 5 (very) to 1 (not at all).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Rating(u8);

impl Rating {
    /// 满意, the word most people use.
    pub const GOOD: Self = Self(4);
    /// 非常满意
    pub const BEST: Self = Self(5);
    /// 一般
    pub const FAIR: Self = Self(3);
    /// 不满意
    pub const BAD: Self = Self(2);
    /// 非常不满意
    pub const WORST: Self = Self(1);

    /// A rating of 1 to 5.
    pub fn new(points: u8) -> Option<Self> {
        (1..=5).contains(&points).then_some(Self(points))
    }

    /// 1 to 5.
    pub fn points(self) -> u8 {
        self.0
    }

    /// The ticket has to be worked on again (不满意件重办).
    pub fn is_bad(self) -> bool {
        self.0 <= 2
    }

    /// The name people read.
    pub fn name(self) -> &'static str {
        match self.0 {
            5 => "非常满意",
            4 => "满意",
            3 => "一般",
            2 => "不满意",
            _ => "非常不满意",
        }
    }
}

/// A set of departments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departments(pub u8);

impl Departments {
    /// All of them.
    pub const ALL: Self = Self(u8::MAX);

    /// One.
    pub fn of(department: Department) -> Self {
        let at = Department::ALL.iter().position(|one| *one == department).unwrap_or(0);
        Self(1 << at)
    }

    /// Whether this one is among them.
    pub fn has(self, department: Department) -> bool {
        self.0 & Self::of(department).0 != 0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any is in both.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// There is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// In the usual order.
    pub fn iter(self) -> impl Iterator<Item = Department> {
        Department::ALL.into_iter().filter(move |department| self.has(*department))
    }

    /// Their names, as a sentence lists them.
    pub fn names(self) -> String {
        self.iter().map(Department::name).collect::<Vec<_>>().join("、")
    }
}

/// How a ticket came to the office.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Through the account.
    #[default]
    Wechat,
    /// By telephone (来电).
    Phone,
    /// At the counter (来访).
    WalkIn,
}

impl Origin {
    /// The name people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wechat => "微信",
            Self::Phone => "来电",
            Self::WalkIn => "来访",
        }
    }
}

/// Why there is a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Began {
    /// The bot has no vetted answer.
    #[default]
    Unknown,
    /// The follower asked for a person.
    Wanted,
    /// Two answers of the bot's were of no use.
    Useless,
    /// Somebody called or came by, and staff wrote it down.
    Typed,
}

/// A ticket went from one department to another (转办).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// When.
    pub at: Timestamp,
    /// From where.
    pub from: Department,
    /// To where.
    pub to: Department,
}

/// More time was asked for (延期), and nobody has decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// For how many working days.
    pub days: u8,
    /// Why.
    pub reason: Arc<str>,
}

/// A lead must look at the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForLead {
    /// It has been returned twice: the duty lead (值班负责人) decides, once, who answers.
    Disputed,
    /// The asker was not content with the answer.
    BadRating,
}

impl ForLead {
    /// What the list says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disputed => "待裁定",
            Self::BadRating => "不满意件",
        }
    }
}

/// Asking the day after closing how it was (回访).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CallBack {
    /// None is due: not closed by staff, or rated.
    #[default]
    None,
    /// At that moment the account asks, if it may still write; else staff call.
    Planned(Timestamp),
    /// The account may not write any more: staff call.
    ForStaff,
    /// Done.
    Done,
}

/// Who asks, as far as the office knows: written down by staff, seen by staff only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// A name staff know them by.
    pub alias: Option<Arc<str>>,
    /// A telephone number.
    pub phone: Option<Arc<str>>,
    /// The enterprise.
    pub enterprise: Option<Arc<str>>,
    /// The building.
    pub building: Option<Arc<str>>,
}

/// The longest field of a profile, in characters.
pub const MAX_PROFILE_CHARS: usize = 60;
/// Labels on a ticket, and characters in one.
pub const MAX_LABELS: usize = 8;
/// The longest label, in characters.
pub const MAX_LABEL_CHARS: usize = 12;
/// Who follows a ticket (关注), at most.
pub const MAX_WATCHERS: usize = 30;
/// Of transfers so many are kept; more are refused long before.
pub const MAX_HOPS: usize = 20;
/// Working days an extension may ask for.
pub const MAX_EXTENSION_DAYS: u8 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departments_are_a_set() {
        let both = Departments::of(Department::Union).and(Departments::of(Department::Finance));
        assert!(both.has(Department::Union) && !both.has(Department::Economy));
        assert_eq!(both.iter().count(), 2);
        assert!(both.without(both).is_empty() && both.meets(Departments::ALL));
    }

    #[test]
    fn a_rating_has_one_to_five_points_and_two_are_bad() {
        assert_eq!([0, 6].map(Rating::new), [None, None]);
        let bad = (1..=5).filter_map(Rating::new).filter(|rating| rating.is_bad()).count();
        assert_eq!(bad, 2);
        assert_eq!(Rating::GOOD.name(), "满意");
    }
}
