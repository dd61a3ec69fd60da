//! Rehearsals written down: a step a line, read into what is to be done. Knows the format, and says what is wrong with a
//! line by file and number; does nothing itself. `docs/rehearsal.txt` shows every step.

use super::api::known_path;
use std::time::Duration;

const MAX_STEPS: usize = 1_000;
const MAX_LINE_CHARS: usize = 2_100;
/// An expectation waits this long unless it says otherwise, and at most this long.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_PATIENCE: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_millis(500);
const MOST_ADVANCE: Duration = Duration::from_secs(366 * 24 * 3600);
const MOST_LATENCY: Duration = Duration::from_secs(60);

/// Every step, as it is written.
const STEPS: &str = "follow、say、tap、click、image、voice、location、scan、allow、refuse、switch-off、unfollow、resend、\
                     advance、expire-window、invalidate-tokens、fail、latency、quota、account、\
                     expect、expect-not、expect-silence";

/// A rehearsal.
#[derive(Debug)]
pub struct Script {
    pub(super) file: String,
    pub(super) lines: Vec<Line>,
}

/// A step with the line it stands on.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) n: usize,
    pub(super) text: String,
    pub(super) step: Step,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Hand { name: String, hand: Hand },
    Advance(Duration),
    ExpireWindow(String),
    InvalidateTokens,
    Fail { n: u32, code: i64, path: Option<&'static str> },
    Latency(Duration),
    Quota { path: &'static str, n: u64 },
    Account { unverified: bool, test: bool },
    Expect { name: String, text: String, within: Duration },
    ExpectNot { name: String, text: String },
    Silence { name: String, span: Duration },
}

/// What a person does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hand {
    Follow(Option<String>),
    Unfollow,
    Say(String),
    Tap(String),
    Click(String),
    Scan(String),
    Allow(String),
    Refuse(String),
    SwitchOff(String),
    Image,
    Voice,
    Location,
    Resend,
}

impl Script {
    /// Reads a script; `file` is its name in sentences. Every line that is wrong is named.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<String>> {
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        for (n, line) in (1..).zip(text.lines()) {
            let line = line.trim_start_matches('\u{feff}').trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match step(line) {
                Ok(step) => lines.push(Line { n, text: line.to_owned(), step }),
                Err(why) => errors.push(format!("{file}:{n}：{why}")),
            }
            if lines.len() + errors.len() > MAX_STEPS {
                errors.push(format!("{file}:{n}：步骤太多，最多 {MAX_STEPS} 步"));
                break;
            }
        }
        if lines.is_empty() && errors.is_empty() {
            errors.push(format!("{file}:1：一个步骤也没有"));
        }
        if errors.is_empty() { Ok(Self { file: file.to_owned(), lines }) } else { Err(errors) }
    }
}

fn step(line: &str) -> Result<Step, String> {
    if line.chars().count() > MAX_LINE_CHARS {
        return Err(format!("这一行太长，最多 {MAX_LINE_CHARS} 个字"));
    }
    let (verb, rest) = word(line);
    Ok(match verb {
        "advance" => Step::Advance(span(rest, MOST_ADVANCE)?),
        "latency" => Step::Latency(span(rest, MOST_LATENCY)?),
        "invalidate-tokens" => nothing_more(rest, Step::InvalidateTokens)?,
        "fail" => {
            let (n, rest) = word(rest);
            let (code, path) = word(rest);
            let path = if path.is_empty() { None } else { Some(call(path)?) };
            Step::Fail { n: number(n)?, code: number(code)?, path }
        }
        "quota" => {
            let (path, n) = word(rest);
            Step::Quota { path: call(path)?, n: number(n)? }
        }
        "account" => match rest {
            "verified" => Step::Account { unverified: false, test: false },
            "unverified" => Step::Account { unverified: true, test: false },
            "test" => Step::Account { unverified: false, test: true },
            _ => return Err("account 后面要写 verified、unverified 或 test".to_owned()),
        },
        _ => with_name(verb, rest)?,
    })
}

/// The steps that begin with whom they are about.
fn with_name(verb: &str, rest: &str) -> Result<Step, String> {
    let (name, rest) = word(rest);
    let owned = |text: &str| text.to_owned();
    let needs = |what: &str| {
        if rest.is_empty() { Err(format!("{verb} 要写成 {verb} 人名 {what}")) } else { Ok(owned(rest)) }
    };
    let hand = match verb {
        "follow" => Hand::Follow((!rest.is_empty()).then(|| owned(rest))),
        "say" => Hand::Say(needs("要说的话")?),
        "tap" => Hand::Tap(needs("链接上的字")?),
        "click" => Hand::Click(needs("菜单的 key 或名称")?),
        "scan" => Hand::Scan(needs("场景")?),
        "allow" => Hand::Allow(needs("模板")?),
        "refuse" => Hand::Refuse(needs("模板")?),
        "switch-off" => Hand::SwitchOff(needs("模板")?),
        "unfollow" => nothing_more(rest, Hand::Unfollow)?,
        "image" => nothing_more(rest, Hand::Image)?,
        "voice" => nothing_more(rest, Hand::Voice)?,
        "location" => nothing_more(rest, Hand::Location)?,
        "resend" => nothing_more(rest, Hand::Resend)?,
        "expect" | "expect-not" | "expect-silence" | "expire-window" => {
            return if name.is_empty() {
                Err(format!("{verb} 后面要写人名"))
            } else {
                seen(verb, name, rest)
            };
        }
        _ => return Err(format!("不认识“{verb}”这一步；可以写 {STEPS}")),
    };
    if name.is_empty() {
        Err(format!("{verb} 后面要写人名"))
    } else {
        Ok(Step::Hand { name: owned(name), hand })
    }
}

/// What is looked for on a phone.
fn seen(verb: &str, name: &str, rest: &str) -> Result<Step, String> {
    let name = name.to_owned();
    let wanted = |rest: &str| match word(rest) {
        ("contains", text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(format!("{verb} 要写成 {verb} 人名 contains 文字")),
    };
    match verb {
        "expire-window" => nothing_more(rest, Step::ExpireWindow(name)),
        "expect-not" => Ok(Step::ExpectNot { name, text: wanted(rest)? }),
        "expect-silence" if rest.is_empty() => Ok(Step::Silence { name, span: SILENCE }),
        "expect-silence" => match word(rest) {
            ("for", rest) => Ok(Step::Silence { name, span: span(rest, MOST_PATIENCE)? }),
            _ => Err("expect-silence 要写成 expect-silence 人名，或 expect-silence 人名 for 2s".to_owned()),
        },
        _ => {
            // Words may hold “within” themselves: only a span after it makes it ours.
            let timed =
                rest.rsplit_once(" within ").filter(|(_, at)| at.starts_with(|c: char| c.is_ascii_digit()));
            let (rest, within) = match timed {
                Some((rest, within)) => (rest, span(within, MOST_PATIENCE)?),
                None => (rest, PATIENCE),
            };
            Ok(Step::Expect { name, text: wanted(rest)?, within })
        }
    }
}

/// The first word, and what follows it.
fn word(line: &str) -> (&str, &str) {
    let (first, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (first, rest.trim())
}

fn nothing_more<T>(rest: &str, step: T) -> Result<T, String> {
    if rest.is_empty() { Ok(step) } else { Err(format!("“{rest}”是多余的")) }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("“{text}”应当是一个数"))
}

fn call(path: &str) -> Result<&'static str, String> {
    known_path(path).ok_or_else(|| format!("没有“{path}”这个接口，要写成 /cgi-bin/message/custom/send 这样"))
}

/// `200ms`, `5s`, `10m`, `2h`, `3d`.
pub(super) fn span(text: &str, most: Duration) -> Result<Duration, String> {
    let (n, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => 0,
    };
    match n.parse::<u64>().ok().filter(|_| ms > 0).and_then(|n| n.checked_mul(ms)).map(Duration::from_millis)
    {
        Some(span) if span <= most => Ok(span),
        Some(_) => Err(format!("“{text}”太长了")),
        None => Err(format!("“{text}”应当是一段时间，如 200ms、5s、10m、2h、3d")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Hand, Script, Step};
    use std::time::Duration;

    fn one(line: &str) -> Result<Step, String> {
        let read = Script::read("a.txt", line).map(|mut script| script.lines.remove(0).step);
        read.map_err(|errors| errors.join("\n"))
    }

    #[test]
    fn a_step_is_a_line_and_the_rest_of_it_is_the_text() {
        let name = || "小明".to_owned();
        let hand = |hand| Ok(Step::Hand { name: name(), hand });
        assert_eq!(one("say 小明  房租 能免吗 "), hand(Hand::Say("房租 能免吗".into())));
        assert_eq!(one("follow 小明"), hand(Hand::Follow(None)));
        assert_eq!(one("follow 小明 村口"), hand(Hand::Follow(Some("村口".into()))));
        let path = "/cgi-bin/message/custom/send";
        assert_eq!(one("fail 2 -1"), Ok(Step::Fail { n: 2, code: -1, path: None }));
        assert_eq!(
            one(&format!("fail 2 45015 {path}")),
            Ok(Step::Fail { n: 2, code: 45015, path: Some(path) })
        );
        assert_eq!(one("advance 2h"), Ok(Step::Advance(Duration::from_secs(7200))));
        let expect = |text: &str, s| {
            Ok(Step::Expect { name: name(), text: text.into(), within: Duration::from_secs(s) })
        };
        assert_eq!(one("expect 小明 contains 编号 within 9s"), expect("编号", 9));
        assert_eq!(one("expect 小明 contains a within reach"), expect("a within reach", 5));
    }

    #[test]
    fn every_wrong_line_is_named_with_a_sentence() {
        let text = "\u{feff}# 注释\n\nsya 小明 你好\nsay 小明\nadvance 2 hours\nquota /nowhere 1\nfail x 1\nimage 小明 图\nsay\n";
        let errors = Script::read("a.txt", text).unwrap_err();
        let says = [
            ("a.txt:3：", "不认识“sya”"),
            ("a.txt:4：", "say 人名 要说的话"),
            ("a.txt:5：", "一段时间"),
            ("a.txt:6：", "没有“/nowhere”这个接口"),
            ("a.txt:7：", "应当是一个数"),
            ("a.txt:8：", "多余"),
            ("a.txt:9：", "say 人名"),
        ];
        assert_eq!(errors.len(), says.len(), "{errors:#?}");
        for (error, (place, what)) in errors.iter().zip(says) {
            assert!(error.starts_with(place) && error.contains(what), "{error}");
        }
        assert!(one("# 只有注释").unwrap_err().contains("一个步骤也没有"));
        assert!(one("advance 9999d").unwrap_err().contains("太长"));
        assert!(
            Script::read("a.txt", &"image 小明\n".repeat(1_001)).unwrap_err()[0].contains("最多 1000 步")
        );
    }
}
