//! `menu.toml` → a menu that WeChat will take, or everything that is wrong with it, each with its line. The only part of
//! `menu` that reads a file.

use crate::knowledge::FileError;
use crate::wechat::menu::{Button, FIELDS, Menu};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const FILE: &str = "menu.toml";
/// The largest menu WeChat takes has less than half of this.
const MAX_FILE: u64 = 64 * 1024;
/// Buttons of one list that are read; the rest is only counted as too many.
const MAX_BUTTONS: usize = 100;
const BUTTONS: &str = "button";
const BELOW: &str = "sub";

/// The menu of a file, with the lines it came from.
#[derive(Debug)]
pub struct MenuFile {
    /// The menu.
    pub menu: Menu,
    file: PathBuf,
    lines: HashMap<Place, usize>,
}

/// A button in the row, one above it, and what of it; an empty field is the button as a whole.
type Place = (usize, Option<usize>, String);

/// Reads the folder's menu; `None` when it has none.
pub fn read(dir: &Path) -> Result<Option<MenuFile>, Vec<FileError>> {
    let file = dir.join(FILE);
    let error = |what: String| vec![FileError { file: file.clone(), line: 1, what }];
    match std::fs::metadata(&file) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(error(format!("读不了：{e}"))),
        Ok(meta) if meta.len() > MAX_FILE => {
            return Err(error(format!("文件有 {} 字节，上限 {MAX_FILE} 字节", meta.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&file).map_err(|e| error(format!("读不了（要 UTF-8 文本）：{e}")))?;
    parse(file, &text).map(Some)
}

fn parse(file: PathBuf, text: &str) -> Result<MenuFile, Vec<FileError>> {
    let table = DeTable::parse(text).map_err(|e| {
        let line = e.span().map_or(1, |span| line_at(text, span.start));
        vec![FileError { file: file.clone(), line, what: format!("格式不对：{}", e.message()) }]
    })?;
    let mut reader = Reader { text, errors: Vec::new(), lines: HashMap::new() };
    let mut menu = Menu::default();
    for (key, value) in table.get_ref() {
        if key.get_ref() == BUTTONS {
            menu.buttons = reader.list(value, None);
        } else {
            let what = format!("没有“{}”这一项；每个菜单以 [[{BUTTONS}]] 开头", key.get_ref());
            reader.error(key.span().start, what);
        }
    }
    let Reader { errors, lines, .. } = reader;
    let read = MenuFile { menu, file, lines };
    let mut errors: Vec<FileError> =
        errors.into_iter().map(|(line, what)| FileError { file: read.file.clone(), line, what }).collect();
    // Of a line that could not be read it was said why: what is missing for that reason is no second error.
    let unread: HashSet<usize> = errors.iter().map(|error| error.line).collect();
    let nothing_read = !errors.is_empty() && read.menu.buttons.is_empty();
    let faults = if nothing_read { Vec::new() } else { read.menu.faults() };
    let faults = faults.into_iter().map(|fault| read.at(fault.first, fault.below, fault.field, fault.what));
    errors.extend(faults.filter(|error| !unread.contains(&error.line)));
    errors.sort_by_key(|error| error.line);
    if errors.is_empty() { Ok(read) } else { Err(errors) }
}

impl MenuFile {
    /// Every button with its place.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, Option<usize>, &Button)> {
        self.menu.buttons.iter().enumerate().flat_map(|(first, button)| {
            let below = button.below.iter().enumerate();
            std::iter::once((first, None, button)).chain(below.map(move |(n, below)| (first, Some(n), below)))
        })
    }

    /// A sentence about a place, at the nearest line that is known.
    pub(super) fn at(
        &self,
        first: Option<usize>,
        below: Option<usize>,
        field: &str,
        what: String,
    ) -> FileError {
        let line = first.and_then(|first| {
            let line = |field: &str| self.lines.get(&(first, below, field.to_owned()));
            line(field).or_else(|| line(""))
        });
        FileError { file: self.file.clone(), line: line.copied().unwrap_or(1), what }
    }
}

struct Reader<'t> {
    text: &'t str,
    errors: Vec<(usize, String)>,
    lines: HashMap<Place, usize>,
}

impl Reader<'_> {
    fn error(&mut self, at: usize, what: String) {
        self.errors.push((line_at(self.text, at), what));
    }

    /// The buttons in the row, or those above one of them.
    fn list(&mut self, value: &Spanned<DeValue<'_>>, first: Option<usize>) -> Vec<Button> {
        let DeValue::Array(items) = value.get_ref() else {
            let what = match first {
                None => format!("菜单要以 [[{BUTTONS}]] 开头，两层方括号"),
                Some(_) => format!("子菜单要以 [[{BUTTONS}.{BELOW}]] 开头，两层方括号"),
            };
            self.error(value.span().start, what);
            return Vec::new();
        };
        let mut buttons = Vec::new();
        for (n, item) in items.iter().take(MAX_BUTTONS).enumerate() {
            let place = first.map_or((n, None), |first| (first, Some(n)));
            self.lines.insert((place.0, place.1, String::new()), line_at(self.text, item.span().start));
            buttons.push(self.button(item, place));
        }
        buttons
    }

    fn button(&mut self, item: &Spanned<DeValue<'_>>, place: (usize, Option<usize>)) -> Button {
        let mut button = Button::default();
        let DeValue::Table(table) = item.get_ref() else {
            self.error(item.span().start, "每个菜单要有 name 和别的项，不能只是一个值".to_owned());
            return button;
        };
        for (key, value) in table {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            self.lines.insert((place.0, place.1, name.to_owned()), line_at(self.text, at));
            let slot = match name {
                BELOW if place.1.is_none() => {
                    button.below = self.list(value, Some(place.0));
                    continue;
                }
                BELOW => {
                    self.error(at, "子菜单里不能再有子菜单".to_owned());
                    continue;
                }
                "name" => &mut button.name,
                "type" => &mut button.kind,
                _ if FIELDS.iter().any(|(field, _)| *field == name) => {
                    button.fields.entry(name.to_owned()).or_default()
                }
                _ => {
                    let all: Vec<&str> = FIELDS.iter().map(|(field, _)| *field).collect();
                    let what = format!(
                        "没有“{name}”这一项；可以写 name、type、{}，或子菜单 {BELOW}",
                        all.join("、")
                    );
                    self.error(at, what);
                    continue;
                }
            };
            match value.get_ref().as_str() {
                Some(text) => text.clone_into(slot),
                None => self.error(at, format!("{name} 要写成文字，加引号")),
            }
        }
        button
    }
}

fn line_at(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or_default().matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::path::PathBuf;

    fn said(text: &str) -> Vec<String> {
        match parse(PathBuf::from("menu.toml"), text) {
            Ok(_) => Vec::new(),
            Err(errors) => errors.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_error_has_the_line_it_is_about() {
        let text = r#"
[[button]]
name = "政策"
[[button.sub]]
name = "一二三四五六七八九"
type = "click"
key = "policy"
[[button.sub]]
name = "网页"
type = "view"
ulr = "https://a.cn"

[[button]]
name = 5
type = "click"
key = "HUMAN"
"#;
        let said = said(text);
        assert_eq!(said.len(), 4, "{said:#?}");
        for (error, start) in said.iter().zip([
            "menu.toml:5: “一二三四五六七八九”太长",
            "menu.toml:8: type 为 view 时要写 url",
            "menu.toml:11: 没有“ulr”这一项",
            "menu.toml:14: name 要写成文字",
        ]) {
            assert!(error.starts_with(start), "{error} is not {start}");
        }
    }

    #[test]
    fn what_is_no_menu_is_said_in_a_sentence() {
        assert!(said("")[0].starts_with("menu.toml:1: 一级菜单有 0 个"));
        assert!(said("\nbutton = 1")[0].starts_with("menu.toml:2: 菜单要以 [[button]] 开头"));
        assert!(said("[[button]]\nname=")[0].starts_with("menu.toml:2: 格式不对"));
        assert!(said("[menu]")[0].starts_with("menu.toml:1: 没有“menu”这一项"));
        let button = "[[button]]\nname = \"一\"\ntype = \"click\"\nkey = \"HUMAN\"\n";
        assert!(said(&button.repeat(3)).is_empty());
        assert!(said(&button.repeat(4))[0].starts_with("menu.toml:13: 一级菜单有 4 个"));
        let deep = format!("{button}[[button.sub]]\nname = \"二\"\nsub = []\n");
        assert!(said(&deep).iter().any(|error| error.contains(":7: 子菜单里不能再有子菜单")));
    }
}
