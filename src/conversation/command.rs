//! Words that are commands in every state. Knows how people type them; not what they lead to.

use crate::knowledge::normalise;
use crate::ticket::{Number, Rating};

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// 人工
    Human,
    /// 进度: all own tickets.
    Progress,
    /// 进度 with a number; the text that holds it.
    ProgressOf(String),
    /// 菜单
    Menu,
    /// 退出
    Exit,
    /// 继续
    More,
    /// 没用, 不对
    Useless,
    /// 满意 …
    Rate(Rating),
}

/// The longest command, 查询进度 with a number and all words around it, has fewer.
const MAX_CHARS: usize = 24;

/// The command a message is, if it is one and nothing else.
pub fn command(text: &str) -> Option<Command> {
    // Most messages are no command, and their length tells.
    if text.chars().filter(|c| c.is_alphanumeric()).nth(MAX_CHARS).is_some() {
        return None;
    }
    let word = normalise(text);
    let rest = ["查询进度", "查进度", "进度查询", "进度"].iter().find_map(|verb| word.strip_prefix(verb));
    if let Some(rest) = rest {
        if let Some(number) = number_in(rest) {
            return Some(Command::ProgressOf(number.to_owned()));
        }
        if rest.is_empty() || ["查询", "怎么样", "如何", "到哪了", "呢"].contains(&rest) {
            return Some(Command::Progress);
        }
    }
    Some(match word.as_str() {
        "人工" | "转人工" | "人工服务" | "人工客服" | "找人工" | "转人工服务" | "转人工客服" | "我要人工"
        | "真人" | "客服" | "工作人员" | "找工作人员" | "接人工" | "人工咨询" => {
            Command::Human
        }
        "我的咨询" | "我的进度" | "我的单子" | "查单" => Command::Progress,
        "菜单" | "帮助" | "help" | "menu" | "怎么用" | "功能" => Command::Menu,
        "退出" | "结束" | "返回" | "取消" | "quit" | "exit" => Command::Exit,
        "继续" => Command::More,
        "没用" | "不对" | "没有用" | "答非所问" | "不是这个" | "不是这个意思" | "没帮助" | "没有帮助"
        | "错了" | "不是我要的" | "都不是" | "不是我问的" => Command::Useless,
        "非常满意" | "很满意" | "十分满意" => Command::Rate(Rating::BEST),
        "满意" => Command::Rate(Rating::GOOD),
        "一般" | "一般般" => Command::Rate(Rating::FAIR),
        "不满意" => Command::Rate(Rating::BAD),
        "很不满意" | "非常不满意" | "十分不满意" => Command::Rate(Rating::WORST),
        word => return points(word).map(Command::Rate),
    })
}

/// 5分, 打4分, 3星.
fn points(word: &str) -> Option<Rating> {
    let digit = word.strip_prefix('打').or_else(|| word.strip_prefix("评")).unwrap_or(word);
    let digit = digit.strip_suffix('分').or_else(|| digit.strip_suffix('星'))?;
    Rating::new(digit.parse().ok()?)
}

/// The number of a ticket where there is nothing else but the words around it: 编号1124007呢. An amount in a sentence is none.
fn number_in(rest: &str) -> Option<&str> {
    let mut digits = rest;
    for before in ["咨询单", "的", "单号", "编号", "号码", "号"] {
        digits = digits.strip_prefix(before).unwrap_or(digits);
    }
    for after in ["怎么样了", "怎么样", "如何", "到哪了", "了吗", "呢", "吗", "号", "的"] {
        digits = digits.strip_suffix(after).unwrap_or(digits);
    }
    let is_number = digits.chars().all(|c| c.is_ascii_digit()) && Number::parse(digits, 0).is_some();
    is_number.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_whole_messages() {
        assert_eq!(command(" 转人工！"), Some(Command::Human));
        assert_eq!(command("人工费怎么算"), None);
        assert_eq!(command("进度"), Some(Command::Progress));
        assert_eq!(command("进度 1124-007"), Some(Command::ProgressOf("1124007".into())));
        assert_eq!(command("进度编号1124－007呢"), Some(Command::ProgressOf("1124007".into())));
        assert_eq!(command("进度款1500000元拖欠怎么办"), None);
        assert_eq!(command("工程进度款拖欠怎么办"), None);
        assert_eq!(command("进度款拖欠怎么办"), None);
    }
}
