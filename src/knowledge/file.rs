//! The file format of an entry → [`Entry`]; every error with file and line. Knows the format, not what is done with it.

use super::pattern::Pattern;
use super::{Category, Department, EntryId};
use crate::matching::place::Region;
use jiff::civil::Date;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong in a file of the knowledge folder, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1.
    pub line: usize,
    /// A Chinese sentence that says what to mend.
    pub what: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// A text file of the knowledge folder.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let what = |e: std::io::Error| format!("读不了：{e}");
    std::fs::read_to_string(path).map_err(|e| FileError { file: path.to_owned(), line: 1, what: what(e) })
}

/// What a TOML file says; what is wrong with it, with its line.
pub fn parse_toml<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        FileError { file: path.to_owned(), line, what: format!("格式不对：{}", e.message()) }
    })
}

/// Both in one.
pub fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    read_text(path).and_then(|text| parse_toml(path, &text))
}

/// One piece of vetted knowledge, as its file says it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name, the file's name.
    pub id: EntryId,
    /// From the folder.
    pub category: Category,
    /// What it is about.
    pub title: String,
    /// How owners ask for it.
    pub questions: Vec<String>,
    /// Regular expressions over normalised text that surely mean it.
    pub patterns: Vec<String>,
    /// Characteristic terms.
    pub keywords: Vec<String>,
    /// Where it holds.
    pub region: Region,
    /// Who issued it.
    pub issuer: Option<String>,
    /// The document's number.
    pub document_number: Option<String>,
    /// When it was issued.
    pub issued: Option<Date>,
    /// The first day it holds.
    pub effective: Option<Date>,
    /// The last day it holds.
    pub expires: Option<Date>,
    /// Set when it is over and the exact day is not known: a clause that says so.
    pub ended: Option<String>,
    /// What replaced it.
    pub superseded_by: Option<EntryId>,
    /// From this day its figures are due for a check.
    pub recheck: Option<Date>,
    /// Whose word prevails (请以……答复为准).
    pub authority: Option<String>,
    /// Where it was read.
    pub sources: Vec<String>,
    /// When it was last compared with its sources.
    pub reviewed: Date,
    /// Who answers for it.
    pub department: Department,
    /// The answer's sections in order: name and lines.
    pub sections: Vec<(Section, Vec<String>)>,
    /// Where it stands on disk.
    pub file: PathBuf,
}

/// The sections an answer may have, in the order they must stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// 结论
    Verdict,
    /// 谁能享受
    Who,
    /// 怎么办
    How,
    /// 材料
    Papers,
    /// 期限
    Deadline,
    /// 上海规定: left out for a question about another region.
    Shanghai,
    /// 注意
    Beware,
    /// 依据
    Basis,
}

impl Section {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Verdict, "结论"),
        (Self::Who, "谁能享受"),
        (Self::How, "怎么办"),
        (Self::Papers, "材料"),
        (Self::Deadline, "期限"),
        (Self::Shanghai, "上海规定"),
        (Self::Beware, "注意"),
        (Self::Basis, "依据"),
    ];

    /// The name in the file and in the answer.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(section, _)| *section == self).map_or("", |(_, name)| name)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(section, _)| *section)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FrontMatter {
    id: String,
    title: String,
    questions: Vec<String>,
    #[serde(default)]
    patterns: Vec<String>,
    keywords: Vec<String>,
    region: Region,
    issuer: Option<String>,
    document_number: Option<String>,
    issued: Option<toml::value::Datetime>,
    effective: Option<toml::value::Datetime>,
    expires: Option<toml::value::Datetime>,
    ended: Option<String>,
    superseded_by: Option<String>,
    recheck: Option<toml::value::Datetime>,
    authority: Option<String>,
    sources: Vec<String>,
    reviewed: toml::value::Datetime,
    department: Department,
}

/// The fewest phrasings an entry needs.
const MIN_QUESTIONS: usize = 8;
/// The largest file that is read, in bytes.
pub const MAX_FILE: u64 = 64 * 1024;

/// Errors of one file while it is read, each with its line.
struct Errors<'p> {
    file: &'p Path,
    text: &'p str,
    list: Vec<FileError>,
}

impl Errors<'_> {
    fn at(&mut self, line: usize, what: impl Into<String>) {
        self.list.push(FileError { file: self.file.to_owned(), line, what: what.into() });
    }

    /// At the line where `key` is set in the front matter, or the first line.
    fn key(&mut self, key: &str, what: impl Into<String>) {
        let line = self.text.lines().position(|line| line.trim_start().starts_with(key)).map_or(1, |n| n + 1);
        self.at(line, what);
    }

    /// At the first line that holds `needle`.
    fn holding(&mut self, needle: &str, what: impl Into<String>) {
        let line = self.text.lines().position(|line| line.contains(needle)).map_or(1, |n| n + 1);
        self.at(line, what);
    }
}

/// Reads one entry from the text of its file.
pub fn parse(file: &Path, category: Category, text: &str) -> Result<Entry, Vec<FileError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut errors = Errors { file, text, list: Vec::new() };
    let Some((front, body, body_line)) = split(text) else {
        errors.at(1, "文件要以单独一行 +++ 开头，再用单独一行 +++ 结束字段部分");
        return Err(errors.list);
    };
    let front: FrontMatter = match toml::from_str(front) {
        Ok(front) => front,
        Err(error) => {
            let before = error.span().map_or("", |span| front.get(..span.start).unwrap_or(""));
            errors.at(2 + before.matches('\n').count(), format!("字段不对：{}", in_chinese(error.message())));
            return Err(errors.list);
        }
    };
    let sections = sections(body, body_line, &mut errors);
    let entry = entry(front, category, sections, &mut errors);
    match entry {
        Some(entry) if errors.list.is_empty() => Ok(entry),
        _ => Err(errors.list),
    }
}

/// Front matter, body, and the line on which the body starts.
fn split(text: &str) -> Option<(&str, &str, usize)> {
    let rest = text.strip_prefix("+++\n").or_else(|| text.strip_prefix("+++\r\n"))?;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        if line.trim_end() == "+++" {
            let front = &rest[..at];
            return Some((front, &rest[at + line.len()..], front.matches('\n').count() + 3));
        }
        at += line.len();
    }
    None
}

/// The parser speaks English; the words that matter most to an editor are translated, the rest is left.
fn in_chinese(message: &str) -> String {
    message
        .replace("missing field", "缺少字段")
        .replace("unknown field", "不认识的字段")
        .replace("unknown variant", "不认识的值")
        .replace("duplicate key", "重复的字段")
        .replace(", expected one of", "，可以写")
        .replace("expected", "应为")
        .replace("invalid type", "类型不对")
}

fn sections(body: &str, first_line: usize, errors: &mut Errors<'_>) -> Vec<(Section, Vec<String>)> {
    let mut sections: Vec<(Section, Vec<String>)> = Vec::new();
    for (n, line) in body.lines().enumerate() {
        let (n, line) = (first_line + n, line.trim_end());
        if let Some(name) = line.strip_prefix("## ") {
            let Some(section) = Section::parse(name.trim()) else {
                errors.at(n, format!("没有“{name}”这样的小节；可用：结论、谁能享受、怎么办、材料、期限、上海规定、注意、依据"));
                continue;
            };
            if sections.last().is_some_and(|(last, _)| *last >= section) {
                errors.at(n, format!("“{}”重复了，或顺序不对", section.name()));
            }
            sections.push((section, Vec::new()));
        } else if !line.trim().is_empty() {
            match sections.last_mut() {
                Some((_, lines)) => lines.push(line.trim().to_owned()),
                None => errors.at(n, "正文要从“## 结论”开始"),
            }
            if line.starts_with('#') || line.contains("**") || line.contains("](") {
                errors.at(n, "正文不用加粗、链接和别的标题记号，微信里显示不了");
            }
            if line.contains('\u{e000}') {
                errors.at(n, "有看不见的特殊字符，请删掉");
            }
        }
    }
    for (section, lines) in &sections {
        if lines.is_empty() {
            errors.holding(&format!("## {}", section.name()), format!("“{}”下面是空的", section.name()));
        }
    }
    if !sections.iter().any(|(section, _)| *section == Section::Verdict) {
        errors.at(first_line, "缺少“## 结论”");
    }
    sections
}

fn entry(
    front: FrontMatter,
    category: Category,
    sections: Vec<(Section, Vec<String>)>,
    errors: &mut Errors<'_>,
) -> Option<Entry> {
    let stem = errors.file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    if front.id != stem {
        errors.key("id", format!("编号“{}”与文件名“{stem}”不同", front.id));
    }
    if front.id.is_empty()
        || !front.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        errors.key("id", "编号只用小写英文字母、数字和短横线");
    }
    check_words(&front, errors);
    if front.expires.is_some() && front.ended.is_some() {
        errors.key("ended", "expires 和 ended 只写一个");
    }
    let basis = sections.iter().find(|(section, _)| *section == Section::Basis);
    if let Some(number) = &front.document_number
        && !basis.is_some_and(|(_, lines)| lines.iter().any(|line| line.contains(number.as_str())))
    {
        errors.key("document_number", format!("文号“{number}”没有写进“依据”"));
    }
    if front.region != Region::Nation && sections.iter().any(|(section, _)| *section == Section::Shanghai) {
        errors.holding("## 上海规定", "“上海规定”只用在 region = \"国家\" 的条目");
    }
    let mut date = |key: &str, value: Option<toml::value::Datetime>| {
        let value = value?;
        let date = value.date.filter(|_| value.time.is_none());
        let date = date
            .and_then(|d| Date::new(d.year.cast_signed(), d.month.cast_signed(), d.day.cast_signed()).ok());
        if date.is_none() {
            errors.key(key, format!("{key} 要写成 2026-01-01 这样的日期，不加引号"));
        }
        date
    };
    let reviewed = date("reviewed", Some(front.reviewed));
    let entry = Entry {
        issued: date("issued", front.issued),
        effective: date("effective", front.effective),
        expires: date("expires", front.expires),
        recheck: date("recheck", front.recheck),
        id: EntryId::new(&front.id),
        category,
        title: front.title.trim().to_owned(),
        questions: front.questions,
        patterns: front.patterns,
        keywords: front.keywords,
        region: front.region,
        issuer: front.issuer,
        document_number: front.document_number,
        ended: front.ended,
        superseded_by: front.superseded_by.as_deref().map(EntryId::new),
        authority: front.authority,
        sources: front.sources,
        reviewed: reviewed?,
        department: front.department,
        sections,
        file: errors.file.to_owned(),
    };
    if let (Some(from), Some(to)) = (entry.effective, entry.expires)
        && from > to
    {
        errors.key("expires", "expires 早于 effective");
    }
    Some(entry)
}

fn check_words(front: &FrontMatter, errors: &mut Errors<'_>) {
    if front.title.trim().is_empty() || front.title.chars().count() > 40 {
        errors.key("title", "标题要有，且不超过 40 个字");
    }
    if front.questions.len() < MIN_QUESTIONS {
        errors.key("questions", format!("问法只有 {} 句，至少 {MIN_QUESTIONS} 句", front.questions.len()));
    }
    for question in &front.questions {
        let n = question.chars().count();
        if crate::matching::text::normalise(question).is_empty() || n > 80 {
            errors.holding(
                question,
                format!("问法“{}”是空的或超过 80 个字", crate::matching::text::shorten(question, 20)),
            );
        }
    }
    for pattern in &front.patterns {
        match Pattern::new(pattern) {
            Err(reason) => errors.holding(pattern, format!("正则“{pattern}”写得不对：{reason}")),
            Ok(compiled) if compiled.is_match("") => {
                errors.holding(pattern, format!("正则“{pattern}”连空话也匹配，太宽了"));
            }
            Ok(_) => {}
        }
    }
    if front.keywords.is_empty() {
        errors.key("keywords", "至少写一个关键词");
    }
    if front.sources.is_empty() {
        errors.key("sources", "要写来源");
    }
    if front.ended.as_deref().is_some_and(|ended| ended.trim().is_empty() || ended.ends_with('。')) {
        errors.key("ended", "ended 写一句话，不带句号");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "+++\nid = \"rent\"\ntitle = \"房租\"\nquestions = [\"一\",\"二\",\"三\",\"四\",\"五\",\"六\",\"七\",\"八\"]\nkeywords = [\"房租\"]\nregion = \"上海市\"\nsources = [\"x\"]\nreviewed = 2026-11-24\ndepartment = \"经发办\"\n+++\n\n## 结论\n可以。\n";

    fn errors(text: &str) -> Vec<String> {
        match parse(Path::new("policy/rent.md"), Category::Policy, text) {
            Ok(_) => Vec::new(),
            Err(list) => list.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_good_file_is_read() {
        assert_eq!(errors(GOOD), Vec::<String>::new());
    }

    #[test]
    fn each_error_names_file_and_line() {
        let bad = GOOD.replace("region = \"上海市\"", "region = \"浦东\"");
        assert!(errors(&bad)[0].starts_with("policy/rent.md:6: 字段不对"), "{:?}", errors(&bad));
        let bad = GOOD.replace("## 结论", "## 结果");
        assert!(errors(&bad)[0].starts_with("policy/rent.md:12: 没有“结果”"), "{:?}", errors(&bad));
        let bad = GOOD.replace("id = \"rent\"", "id = \"rant\"");
        assert!(errors(&bad)[0].starts_with("policy/rent.md:2: 编号"), "{:?}", errors(&bad));
        let bad = GOOD.replace("keywords", "patterns = [\"房(\"]\nkeywords");
        assert!(errors(&bad)[0].starts_with("policy/rent.md:5: 正则"), "{:?}", errors(&bad));
        let bad = GOOD.replace("2026-11-24", "\"2026-11-24\"");
        assert!(errors(&bad)[0].starts_with("policy/rent.md:8:"), "{:?}", errors(&bad));
    }

    #[test]
    fn too_few_phrasings_and_a_missing_document_number_are_errors() {
        assert!(errors(&GOOD.replace(",\"八\"", ""))[0].contains("至少 8 句"));
        let bad = GOOD.replace("sources", "document_number = \"沪府〔2026〕1号\"\nsources");
        assert!(errors(&bad)[0].contains("依据"));
    }
}
