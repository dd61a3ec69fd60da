//! How an entry reads in WeChat: sections, validity, whose word prevails. Knows wording and the byte limit, not matching.

use super::file::{Entry, Section};
use crate::matching::place::{Place, Region};
use jiff::civil::Date;
use serde::Deserialize;
use std::fmt::Write;

/// The most bytes of UTF-8 a WeChat text may have (PROTOCOL §4, §7).
pub const MAX_REPLY: usize = 2048;

/// What the office says of itself (`office.toml`). Empty texts are unfilled: they are never printed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfficeFacts {
    /// The office's name.
    #[serde(default)]
    pub name: String,
    /// Its telephone.
    #[serde(default)]
    pub phone: String,
    /// Where it is.
    #[serde(default)]
    pub address: String,
    /// When it is open.
    #[serde(default)]
    pub hours: String,
    /// How long data is kept and what for.
    #[serde(default)]
    pub privacy: String,
    /// Liaisons of the office buildings.
    #[serde(default)]
    pub liaison: Vec<Liaison>,
}

/// The person who looks after one building (一人一楼宇).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liaison {
    /// The building.
    pub building: String,
    /// The person.
    pub name: String,
    /// The person's telephone.
    #[serde(default)]
    pub phone: String,
}

impl OfficeFacts {
    /// The placeholders of knowledge texts and their values.
    pub fn placeholders(&self) -> [(&'static str, &str); 4] {
        [
            ("{{phone}}", &self.phone),
            ("{{address}}", &self.address),
            ("{{hours}}", &self.hours),
            ("{{privacy}}", &self.privacy),
        ]
    }

    /// The liaisons a message asks for: of the buildings it names, or all (at most ten) where it names none. Empty
    /// when it does not ask for a liaison.
    pub fn liaisons_for(&self, message: &str) -> Vec<&Liaison> {
        const MAX: usize = 10;
        if !message.contains("联络员") {
            return Vec::new();
        }
        let filled =
            || self.liaison.iter().filter(|l| !l.building.trim().is_empty() && !l.name.trim().is_empty());
        let named: Vec<&Liaison> =
            filled().filter(|l| message.contains(l.building.trim())).take(MAX).collect();
        if named.is_empty() { filled().take(MAX).collect() } else { named }
    }

    /// A line with its placeholders filled; `None` when one of them has no value.
    fn fill(&self, line: &str) -> Option<String> {
        let mut line = line.to_owned();
        for (placeholder, value) in self.placeholders() {
            if line.contains(placeholder) {
                if value.trim().is_empty() {
                    return None;
                }
                line = line.replace(placeholder, value.trim());
            }
        }
        Some(line)
    }
}

/// Whether an entry holds on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It holds.
    Current,
    /// Its last day has passed.
    Expired(Date),
    /// It is over; the day is not known.
    Ended(String),
    /// Its first day is to come.
    NotYet(Date),
}

impl Entry {
    /// Whether it holds on this day.
    pub fn validity(&self, on: Date) -> Validity {
        match (&self.ended, self.expires, self.effective) {
            (Some(ended), _, _) => Validity::Ended(ended.clone()),
            (None, Some(last), _) if last < on => Validity::Expired(last),
            (None, _, Some(first)) if first > on => Validity::NotYet(first),
            _ => Validity::Current,
        }
    }

    /// The whole answer as it goes to the follower. `successor` is the title of what replaced an expired entry,
    /// `place` a foreign place the question named.
    pub fn render(
        &self,
        on: Date,
        office: &OfficeFacts,
        successor: Option<&str>,
        place: Option<&Place>,
    ) -> String {
        let mut text = format!("【{}】\n", self.title);
        self.write_validity(&mut text, on, successor);
        if let Some(place) = place {
            let _ = writeln!(
                text,
                "您问的是{}：下面只是国家统一规定，当地的标准和办法请问当地部门。",
                place.name
            );
        }
        for (section, lines) in &self.sections {
            if *section == Section::Shanghai && place.is_some() {
                continue;
            }
            let lines: Vec<String> = lines.iter().filter_map(|line| office.fill(line)).collect();
            if lines.is_empty() {
                continue;
            }
            if *section != Section::Verdict {
                let _ = writeln!(text, "\n◆ {}", section.name());
            }
            for line in lines {
                text.push_str(&line);
                text.push('\n');
            }
        }
        self.write_footer(&mut text, on, place);
        text.truncate(text.trim_end().len());
        text
    }

    fn write_validity(&self, text: &mut String, on: Date, successor: Option<&str>) {
        let over = match self.validity(on) {
            Validity::Current => return,
            Validity::Expired(last) => format!("⚠ 已失效：有效期到{}为止，现在不能按它办理。", zh_date(last)),
            Validity::Ended(how) => format!("⚠ {how}。"),
            Validity::NotYet(first) => format!("⚠ 尚未施行：从{}起才适用。", zh_date(first)),
        };
        let _ = writeln!(text, "{over}");
        if let Some(title) = successor {
            let _ = writeln!(text, "接替它的是《{title}》，回复 1 查看。");
        }
        text.push('\n');
    }

    fn write_footer(&self, text: &mut String, on: Date, place: Option<&Place>) {
        text.push('\n');
        if matches!(self.validity(on), Validity::Current) {
            match (self.effective, self.expires) {
                (Some(from), Some(to)) => {
                    let _ = writeln!(text, "有效期：{}至{}。", zh_date(from), zh_date(to));
                }
                (None, Some(to)) => {
                    let _ = writeln!(text, "有效期至{}。", zh_date(to));
                }
                (Some(from), None) => {
                    let _ = writeln!(text, "自{}起施行。", zh_date(from));
                }
                (None, None) => {}
            }
            if self.recheck.is_some_and(|day| day <= on) {
                let _ = writeln!(text, "其中的数字可能已按期调整，办公室还没复核，请先核实再用。");
            }
        }
        if place.is_some() {
            let _ = writeln!(text, "请以当地主管部门答复为准。");
        } else if let Some(authority) = &self.authority {
            let _ = writeln!(text, "请以{authority}答复为准。");
        }
        let scope = if self.region == Region::Nation { "全国" } else { self.region.name() };
        let _ = writeln!(text, "（{scope}，{}核对）没说清楚？回复“人工”。", self.reviewed);
    }
}

/// A date as Chinese prose has it.
pub fn zh_date(date: Date) -> String {
    format!("{}年{}月{}日", date.year(), date.month(), date.day())
}

#[cfg(test)]
mod tests {
    use super::{Liaison, OfficeFacts};

    #[test]
    fn a_liaison_is_named_to_whoever_asks_for_one() {
        let liaison =
            |building: &str| Liaison {
                building: building.into(), name: "王师傅".into(), phone: "".into()
            };
        let office = OfficeFacts {
            liaison: vec![liaison("凯德大厦"), liaison("龙之梦"), liaison("")],
            ..Default::default()
        };
        let named =
            |message| office.liaisons_for(message).iter().map(|l| l.building.clone()).collect::<Vec<_>>();
        assert_eq!(named("龙之梦的联络员是谁"), ["龙之梦"]);
        assert_eq!(named("我们楼的联络员怎么联系"), ["凯德大厦", "龙之梦"]);
        assert!(named("龙之梦的房租能减吗").is_empty());
    }
}
