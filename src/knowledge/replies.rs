//! Canned replies (常用语): what staff say again and again, in `knowledge/replies.toml`. Knows the file; nobody is told one by
//! the bot.

use super::MAX_REPLY;
use serde::Deserialize;
use std::path::Path;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CannedReply {
    /// By what it is found.
    pub name: String,
    /// What it says.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    reply: Vec<CannedReply>,
}

/// So many at most.
const MAX_REPLIES: usize = 300;
/// Names are short.
const MAX_NAME_CHARS: usize = 30;

/// The canned replies of a folder; none where there is no such file. Errors name the file and what to mend.
pub fn load(dir: &Path) -> Result<Vec<CannedReply>, String> {
    let file = dir.join("replies.toml");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}:1: 读不了：{error}", file.display())),
    };
    let read = toml::from_str::<File>(&text).map_err(|error| error.message().to_owned());
    read.and_then(|read| check(read.reply)).map_err(|what| format!("{}:1: {what}", file.display()))
}

fn check(replies: Vec<CannedReply>) -> Result<Vec<CannedReply>, String> {
    if replies.len() > MAX_REPLIES {
        return Err(format!("常用语有 {} 条，最多 {MAX_REPLIES} 条", replies.len()));
    }
    for (n, reply) in replies.iter().enumerate() {
        let name = reply.name.trim();
        if name.is_empty() || name.chars().count() > MAX_NAME_CHARS {
            return Err(format!("第 {} 条常用语的 name 要有 1–{MAX_NAME_CHARS} 个字", n + 1));
        }
        if reply.text.trim().is_empty() || reply.text.len() > MAX_REPLY {
            return Err(format!(
                "常用语“{name}”的 text 要有 1–{MAX_REPLY} 字节（约 {} 个字）",
                MAX_REPLY / 3
            ));
        }
        if replies[..n].iter().any(|other| other.name.trim() == name) {
            return Err(format!("有两条常用语都叫“{name}”"));
        }
    }
    Ok(replies)
}

/// Those in whose name or text all of this stands, those first whose name begins with it.
pub fn find<'r>(replies: &'r [CannedReply], typed: &str, most: usize) -> Vec<&'r CannedReply> {
    let typed = super::normalise(typed);
    let has = |text: &str| super::normalise(text).contains(&typed);
    let mut found: Vec<&CannedReply> =
        replies.iter().filter(|reply| has(&reply.name) || has(&reply.text)).collect();
    found.sort_by_key(|reply| {
        let name = super::normalise(&reply.name);
        (!name.starts_with(&typed), !name.contains(&typed))
    });
    found.truncate(most);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(name: &str, text: &str) -> CannedReply {
        CannedReply { name: name.into(), text: text.into() }
    }

    #[test]
    fn the_shipped_ones_are_good_and_found_by_name_first() {
        let shipped = load(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge"))).unwrap();
        assert!(shipped.len() >= 6);
        let some = [reply("稍后", "材料齐了再办"), reply("材料", "请带执照")];
        let names: Vec<_> = find(&some, "材料", 9).iter().map(|reply| reply.name.as_str()).collect();
        assert_eq!(names, ["材料", "稍后"]);
        assert_eq!(find(&some, "", 1).len(), 1);
        assert!(find(&some, "社保", 9).is_empty());
    }

    #[test]
    fn a_broken_one_says_what_to_mend() {
        assert!(check(vec![reply("甲", "x"), reply("甲", "y")]).unwrap_err().contains("都叫“甲”"));
        assert!(check(vec![reply("", "x")]).unwrap_err().contains("第 1 条"));
        assert!(check(vec![reply("甲", " ")]).unwrap_err().contains("text"));
        assert_eq!(load(Path::new("/nowhere/at/all")), Ok(Vec::new()));
    }
}
