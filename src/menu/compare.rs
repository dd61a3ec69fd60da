//! A menu in lines that people read, and two of them side by side. Pure.

use crate::wechat::menu::{Button, FIELDS, Kind, Menu};

/// A button in the row a line, those above it indented under it.
pub fn outline(menu: &Menu) -> Vec<String> {
    let mut lines = Vec::new();
    for button in &menu.buttons {
        lines.push(line(button, ""));
        lines.extend(button.below.iter().map(|below| line(below, "  ")));
    }
    lines
}

fn line(button: &Button, indent: &str) -> String {
    // The names may come from WeChat: nothing in them may steer a terminal.
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut line = format!("{indent}{}", shown(&button.name));
    if !button.kind.is_empty() {
        let kind = Kind::by_name(&button.kind).map_or(button.kind.as_str(), |kind| kind.zh);
        line += &format!("：{}", shown(kind));
    }
    let values = FIELDS.iter().filter_map(|(field, _)| button.fields.get(*field));
    values.for_each(|value| line += &format!(" {}", shown(value)));
    line
}

/// What becomes of one menu when another takes its place: `- ` what goes, `+ ` what comes, two spaces before what stays.
/// `None` when nothing changes.
pub fn difference(before: &Menu, after: &Menu) -> Option<Vec<String>> {
    if before == after {
        return None;
    }
    let (old, new) = (outline(before), outline(after));
    // How many lines two ends have in common; both have a few hundred lines at most.
    let mut common = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, gone) in old.iter().enumerate().rev() {
        for (j, come) in new.iter().enumerate().rev() {
            common[i][j] =
                if gone == come { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(gone), Some(come)) if gone == come => {
                lines.push(format!("  {gone}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(gone), come) if come.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                lines.push(format!("- {gone}"));
                i += 1;
            }
            (_, Some(come)) => {
                lines.push(format!("+ {come}"));
                j += 1;
            }
            // The arm before the last takes every line that is left of the old one.
            _ => return Some(lines),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::difference;
    use crate::wechat::menu::{Button, Menu};

    fn menu(rows: &[(&str, &[(&str, &str)])]) -> Menu {
        let click = |(name, key): &(&str, &str)| Button {
            name: (*name).into(),
            kind: "click".into(),
            fields: [("key".to_owned(), (*key).to_owned())].into(),
            below: Vec::new(),
        };
        let row = |(name, below): &(&str, &[(&str, &str)])| Button {
            name: (*name).into(),
            below: below.iter().map(click).collect(),
            ..Button::default()
        };
        Menu { buttons: rows.iter().map(row).collect() }
    }

    #[test]
    fn what_goes_what_comes_and_what_stays() {
        let before =
            menu(&[("政策", &[("帮扶", "policy"), ("法律", "legal")]), ("其他", &[("人工", "HUMAN")])]);
        let after = menu(&[("政策", &[("帮扶", "policy"), ("劳资", "labour"), ("法律", "legal")])]);
        assert_eq!(difference(&before, &before), None);
        let lines = difference(&before, &after).unwrap();
        assert_eq!(
            lines,
            [
                "  政策",
                "    帮扶：点击 policy",
                "+   劳资：点击 labour",
                "    法律：点击 legal",
                "- 其他",
                "-   人工：点击 HUMAN"
            ]
        );
        let nothing = difference(&Menu::default(), &after).unwrap();
        assert!(nothing.len() == 4 && nothing.iter().all(|line| line.starts_with("+ ")));
        let all = difference(&after, &Menu::default()).unwrap();
        assert!(all.len() == 4 && all.iter().all(|line| line.starts_with("- ")));
    }

    #[test]
    fn what_comes_from_wechat_cannot_steer_a_terminal() {
        let lines = super::outline(&menu(&[("坏\u{1b}[2J", &[("a\nb", "k\u{7}")])]));
        assert_eq!(lines, ["坏[2J", "  ab：点击 k"]);
    }
}
