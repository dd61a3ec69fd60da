//! Which hours the office works, and so when an answer is due: several intervals a day, public holidays,
//! make-up workdays (调休). Knows dates and clock times only; who owes the answer is `ticket`'s business.

use crate::clock::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A moment by which an answer is promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// When it is due.
    pub at: Timestamp,
    /// The way there leaves the years whose holidays are known: only weekends were counted (以通知为准).
    pub tentative: bool,
}

/// The working hours, from `workday.toml` and one file a year.
#[derive(Clone, Debug)]
pub struct Calendar {
    intervals: Vec<(Time, Time)>,
    years: BTreeSet<i16>,
    days_off: BTreeSet<Date>,
    workdays: BTreeSet<Date>,
}

/// What is wrong with a calendar file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalendarError {
    /// The file.
    pub file: PathBuf,
    /// A Chinese sentence that says what to mend.
    pub what: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WorkdayFile {
    intervals: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct YearFile {
    year: i16,
    #[serde(default)]
    days_off: Vec<String>,
    #[serde(default)]
    workdays: Vec<String>,
}

/// No deadline is searched for further ahead than this, whatever the files say.
const MAX_DAYS_AHEAD: usize = 400;

impl Calendar {
    /// Reads the calendar folder. Every error names its file.
    pub fn load(dir: &Path) -> Result<Self, Vec<CalendarError>> {
        let mut errors = Vec::new();
        let mut calendar = Self {
            intervals: Vec::new(),
            years: BTreeSet::new(),
            days_off: BTreeSet::new(),
            workdays: BTreeSet::new(),
        };
        let workday = dir.join("workday.toml");
        match read::<WorkdayFile>(&workday).and_then(|file| intervals(&file.intervals)) {
            Ok(intervals) => calendar.intervals = intervals,
            Err(what) => errors.push(CalendarError { file: workday, what }),
        }
        for file in year_files(dir) {
            if let Err(what) = read::<YearFile>(&file).and_then(|year| calendar.add_year(&year)) {
                errors.push(CalendarError { file, what });
            }
        }
        if errors.is_empty() { Ok(calendar) } else { Err(errors) }
    }

    fn add_year(&mut self, file: &YearFile) -> Result<(), String> {
        if !self.years.insert(file.year) {
            return Err(format!("{} 年已在另一个文件里，请合并", file.year));
        }
        for span in &file.days_off {
            self.days_off.extend(dates(span, file.year)?);
        }
        for span in &file.workdays {
            for date in dates(span, file.year)? {
                if self.days_off.contains(&date) {
                    return Err(format!("{date} 既写成放假又写成上班"));
                }
                self.workdays.insert(date);
            }
        }
        Ok(())
    }

    /// Whether the office works on this date, as far as is known.
    pub fn is_workday(&self, date: Date) -> bool {
        if self.workdays.contains(&date) {
            return true;
        }
        !self.days_off.contains(&date) && !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
    }

    /// Whether the office works at this moment.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let local = at.local();
        self.is_workday(local.date())
            && self.intervals.iter().any(|(from, to)| *from <= local.time() && local.time() < *to)
    }

    /// The moment when `work` hours of office time have passed since `from`.
    pub fn deadline(&self, from: Timestamp, work: Duration) -> Deadline {
        let start = from.local();
        let mut left = i64::try_from(work.as_secs()).unwrap_or(i64::MAX);
        let mut tentative = false;
        let mut date = start.date();
        for _ in 0..MAX_DAYS_AHEAD {
            tentative |= !self.years.contains(&date.year());
            if self.is_workday(date) {
                for (opens, closes) in &self.intervals {
                    let from = if date == start.date() { start.time().max(*opens) } else { *opens };
                    let span = seconds_between(from, *closes);
                    if span <= 0 {
                        continue;
                    }
                    if left <= span {
                        let at = Timestamp::from_local(DateTime::from_parts(date, from));
                        let at = at.after(Duration::from_secs(u64::try_from(left).unwrap_or(0)));
                        return Deadline { at, tentative };
                    }
                    left -= span;
                }
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        Deadline { at: Timestamp::from_local(DateTime::from_parts(date, Time::midnight())), tentative: true }
    }

    /// How much office time lies between two moments; none where `to` is not later.
    pub fn work_between(&self, from: Timestamp, to: Timestamp) -> Duration {
        let (start, end) = (from.local(), to.local());
        let mut work = 0;
        let mut date = start.date();
        for _ in 0..MAX_DAYS_AHEAD {
            if date > end.date() {
                break;
            }
            if self.is_workday(date) {
                for (opens, closes) in &self.intervals {
                    let from = if date == start.date() { start.time().max(*opens) } else { *opens };
                    let to = if date == end.date() { end.time().min(*closes) } else { *closes };
                    work += seconds_between(from, to).max(0);
                }
            }
            let Ok(next) = date.tomorrow() else { break };
            date = next;
        }
        Duration::from_secs(u64::try_from(work).unwrap_or(0))
    }

    /// The office time of one day.
    pub fn day(&self) -> Duration {
        let day: i64 = self.intervals.iter().map(|(opens, closes)| seconds_between(*opens, *closes)).sum();
        Duration::from_secs(u64::try_from(day).unwrap_or(0))
    }

    /// So many working days later, at the same moment of office time.
    pub fn days_later(&self, from: Deadline, days: u8) -> Deadline {
        let later = self.deadline(from.at, self.day() * u32::from(days));
        Deadline { tentative: later.tentative || from.tentative, ..later }
    }

    /// Ten o'clock, or when the office opens if that is later, on the next working day after this moment's.
    pub fn next_workday(&self, after: Timestamp) -> Timestamp {
        const TEN: Time = jiff::civil::time(10, 0, 0, 0);
        let opens = self.intervals.first().map_or(TEN, |(opens, _)| *opens);
        let mut date = after.date();
        for _ in 0..MAX_DAYS_AHEAD {
            let Ok(next) = date.tomorrow() else { break };
            date = next;
            if self.is_workday(date) {
                break;
            }
        }
        Timestamp::from_local(DateTime::from_parts(date, opens.max(TEN)))
    }

    /// The last date whose holidays are known; `None` when no year is on file.
    pub fn known_until(&self) -> Option<Date> {
        let mut last = *self.years.first()?;
        while self.years.contains(&(last + 1)) {
            last += 1;
        }
        Date::new(last, 12, 31).ok()
    }
}

fn year_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        path.extension().is_some_and(|ext| ext == "toml") && stem.bytes().all(|byte| byte.is_ascii_digit())
    });
    files.sort();
    files
}

fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("读不了：{error}"))?;
    toml::from_str(&text).map_err(|error| format!("格式不对：{}", error.message()))
}

fn intervals(texts: &[String]) -> Result<Vec<(Time, Time)>, String> {
    let mut intervals: Vec<(Time, Time)> = Vec::new();
    for text in texts {
        let (from, to) = text.split_once('-').ok_or(format!("时段“{text}”应写成 09:00-11:30"))?;
        let clock = |part: &str| format!("{}:00", part.trim()).parse::<Time>().ok();
        let (Some(from), Some(to)) = (clock(from), clock(to)) else {
            return Err(format!("时段“{text}”应写成 09:00-11:30"));
        };
        if from >= to || intervals.last().is_some_and(|last| last.1 > from) {
            return Err(format!("时段“{text}”前后颠倒，或与上一个重叠"));
        }
        intervals.push((from, to));
    }
    if intervals.is_empty() { Err("至少写一个办公时段".into()) } else { Ok(intervals) }
}

fn dates(span: &str, year: i16) -> Result<Vec<Date>, String> {
    let (first, last) = span.split_once("..").unwrap_or((span, span));
    let date = |text: &str| {
        let date: Date = text.trim().parse().map_err(|_| format!("日期“{text}”应写成 2026-01-01"))?;
        if date.year() == year { Ok(date) } else { Err(format!("{date} 不在 {year} 年")) }
    };
    let (first, last) = (date(first)?, date(last)?);
    if first > last {
        return Err(format!("“{span}”前后颠倒"));
    }
    Ok(first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last).take(366).collect())
}

fn seconds_between(from: Time, to: Time) -> i64 {
    from.duration_until(to).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Calendar {
        Calendar::load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge/calendar"))).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_local(text.parse().unwrap())
    }

    fn due(from: &str, hours: u64) -> String {
        let deadline = shipped().deadline(at(from), Duration::from_secs(hours * 3600));
        format!("{}{}", deadline.at, if deadline.tentative { " ?" } else { "" })
    }

    #[test]
    fn lunch_does_not_count() {
        assert_eq!(due("2026-11-24T11:00:00", 1), "2026-11-24 14:00");
    }

    #[test]
    fn a_question_at_night_starts_next_morning() {
        assert_eq!(due("2026-11-24T22:00:00", 6), "2026-11-25 17:00");
    }

    #[test]
    fn a_make_up_saturday_is_worked_and_the_national_holiday_is_not() {
        assert_eq!(due("2026-10-10T09:00:00", 6), "2026-10-10 17:00");
        assert_eq!(due("2026-09-30T16:00:00", 6), "2026-10-08 16:00");
    }

    #[test]
    fn past_the_last_known_year_weekends_count_and_the_deadline_says_it_is_tentative() {
        assert_eq!(due("2026-12-31T16:30:00", 6), "2027-01-01 16:30 ?");
        assert_eq!(due("2027-01-08T16:30:00", 1), "2027-01-11 09:30 ?");
        assert_eq!(shipped().known_until().unwrap().to_string(), "2026-12-31");
    }

    #[test]
    fn office_time_between_two_moments_leaves_out_lunch_nights_and_holidays() {
        let between = |from, to| shipped().work_between(at(from), at(to)).as_secs();
        assert_eq!(between("2026-11-24T11:00:00", "2026-11-24T14:00:00"), 3_600);
        assert_eq!(between("2026-11-24T16:30:00", "2026-11-25T09:30:00"), 3_600);
        assert_eq!(between("2026-09-30T16:30:00", "2026-10-08T09:30:00"), 3_600);
        assert_eq!(between("2026-11-24T14:00:00", "2026-11-24T11:00:00"), 0);
        let due = shipped().deadline(at("2026-11-24T11:00:00"), Duration::from_secs(6 * 3600));
        assert_eq!(between("2026-11-24T11:00:00", &due.at.local().to_string()), 6 * 3600);
    }

    #[test]
    fn days_are_working_days() {
        let due = shipped().deadline(at("2026-11-27T15:00:00"), Duration::from_secs(3600));
        assert_eq!(shipped().days_later(due, 1).at.to_string(), "2026-11-30 16:00");
        assert_eq!(shipped().next_workday(at("2026-11-27T15:00:00")).to_string(), "2026-11-30 10:00");
    }

    #[test]
    fn broken_files_are_named_with_what_to_mend() {
        assert!(intervals(&["9-11".into()]).unwrap_err().contains("09:00-11:30"));
        assert!(intervals(&["13:00-17:00".into(), "09:00-12:00".into()]).unwrap_err().contains("重叠"));
        assert!(dates("2026-02-03..2026-02-01", 2026).unwrap_err().contains("颠倒"));
        assert!(dates("2025-02-03", 2026).unwrap_err().contains("不在"));
    }
}
