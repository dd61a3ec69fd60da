//! Known gaps (已知没有答案的问题, `gaps/<category>.toml`): what owners ask and no entry answers. A question that comes nearer
//! to one of these than to any entry goes to a person, and the gap says to whom. Knows the files; not what nearness is.

use super::file::{Entry, FileError, parse_toml, read_text};
use super::suite::{Purpose, SuiteQuestion};
use super::{Category, Department, normalise};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// More than this are refused.
const MAX_GAPS: usize = 5_000;
const MAX_QUESTIONS: usize = 50;
const MAX_TITLE_CHARS: usize = 60;

/// Something owners ask that no entry answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// What it is about, for staff.
    pub title: Arc<str>,
    /// Under which category a ticket about it belongs.
    pub category: Category,
    /// Who answers for it.
    pub department: Department,
    /// How owners ask it.
    pub questions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GapFile {
    #[serde(default)]
    gap: Vec<Front>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Front {
    title: String,
    department: Option<Department>,
    questions: Vec<String>,
}

/// The gaps of this folder, if it is there.
pub fn read(dir: &Path) -> Result<Vec<Gap>, Vec<FileError>> {
    let (mut gaps, mut errors) = (Vec::new(), Vec::new());
    for category in Category::ALL {
        let file = dir.join(category.folder()).with_extension("toml");
        if !file.is_file() {
            continue;
        }
        let parsed = read_text(&file)
            .and_then(|text| parse_toml::<GapFile>(&file, &text).map(|parsed| (text, parsed)));
        let (text, parsed) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        for front in parsed.gap {
            if let Some(what) = fault(&front) {
                let line = text.lines().position(|line| line.contains(&front.title)).map_or(1, |n| n + 1);
                errors.push(FileError { file: file.clone(), line, what });
            }
            let department = front.department.unwrap_or(category.department());
            gaps.push(Gap { title: front.title.into(), category, department, questions: front.questions });
        }
    }
    if gaps.len() > MAX_GAPS {
        let what = format!("超过 {MAX_GAPS} 条");
        errors.push(FileError { file: dir.to_owned(), line: 1, what });
    }
    if errors.is_empty() { Ok(gaps) } else { Err(errors) }
}

fn fault(front: &Front) -> Option<String> {
    let title = front.title.trim();
    if title.is_empty() || title.chars().count() > MAX_TITLE_CHARS {
        return Some(format!("title 要有 1–{MAX_TITLE_CHARS} 个字"));
    }
    if front.questions.is_empty() || front.questions.len() > MAX_QUESTIONS {
        return Some(format!("“{title}”要有 1–{MAX_QUESTIONS} 句问法"));
    }
    let empty = front.questions.iter().find(|question| normalise(question).is_empty());
    empty.map(|question| format!("“{title}”的问法“{question}”里没有字"))
}

/// What has an answer is no gap: no phrasing of an entry (by its normalised form) may be one of a gap.
pub fn check(gaps: &[Gap], entries: &FxHashMap<String, &Entry>, dir: &Path, errors: &mut Vec<FileError>) {
    for gap in gaps {
        for question in &gap.questions {
            let Some(entry) = entries.get(&normalise(question)) else { continue };
            let file = dir.join(gap.category.folder()).with_extension("toml");
            let text = read_text(&file).unwrap_or_default();
            let line = text.lines().position(|line| line.contains(question)).map_or(1, |n| n + 1);
            let id = &entry.id;
            let what = format!("“{}”的问法“{question}”是 {id} 的问法：有答案的问题不该在这里", gap.title);
            errors.push(FileError { file, line, what });
        }
    }
}

/// The wordings of the suite that nothing answers and that may be learned from: each a gap of its own.
pub fn of_suite(suite: &[SuiteQuestion]) -> impl Iterator<Item = Gap> {
    suite.iter().filter(|question| question.train && question.purpose == Purpose::Abstain).map(|question| {
        let category = question.category.unwrap_or(Category::Service);
        Gap {
            title: question.text.as_str().into(),
            category,
            department: category.department(),
            questions: vec![question.text.clone()],
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_read_with_its_category_and_what_is_wrong_is_named_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.toml");
        std::fs::write(
            &file,
            "[[gap]]\ntitle = \"契税\"\ndepartment = \"财政所\"\nquestions = [\"契税几个点\"]\n",
        )
        .unwrap();
        let gaps = read(dir.path()).unwrap();
        assert_eq!((gaps[0].category, gaps[0].department), (Category::Policy, Department::Finance));
        std::fs::write(&file, "[[gap]]\ntitle = \"契税\"\nquestions = [\"？\"]\n\n[[gap]]\ntitle = \"车船税\"\nquestions = []\n")
            .unwrap();
        let errors = read(dir.path()).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [2, 6]);
        std::fs::write(&file, "[[gap]]\ntitel = \"契税\"\n").unwrap();
        assert_eq!(read(dir.path()).unwrap_err()[0].line, 2);
        assert!(read(&dir.path().join("none")).unwrap().is_empty());
    }
}
