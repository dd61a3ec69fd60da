//! Every sentence the bot says of its own. Knows wording only; when each is said is decided beside it.

use super::NUMBER;
use super::follower::ENTRY;
use crate::bubble;
use crate::calendar::Deadline;
use crate::clock::Timestamp;
use crate::knowledge::{Category, EntryId, Liaison, MAX_REPLY, OfficeFacts, Place, shorten};
use crate::ticket::{Enclosure, Number, Rating, Stage, Ticket};
use std::fmt::Write;

/// To somebody who begins to follow.
pub fn welcome(office: &OfficeFacts) -> String {
    let mut text = String::from(
        "您好，这里是莘企政策咨询，为莘庄镇的企业和商户解答政策、用工、法律和办事问题。\n\n直接写下问题就行，例如：\n· 小规模纳税人增值税怎么交\n· 员工没签合同要双倍工资\n· 房东不退押金怎么办\n\n答不上来的，会转给工作人员，并告诉您编号和答复时间。\n",
    );
    text.push_str(COMMANDS);
    contact_lines(&mut text, office);
    text.push_str("\n\n请不要发送身份证号、银行卡号。");
    text
}

const COMMANDS: &str = "\n回复“人工”找工作人员，“进度”查咨询单，“菜单”看说明。";

/// The menu.
pub fn menu(office: &OfficeFacts) -> String {
    let mut text = String::from(
        "莘企政策咨询可以回答：\n· 帮扶政策（税费、补贴、贷款、房租）\n· 劳资纠纷（合同、工资、社保、工伤、辞退）\n· 法律事务（租赁、欠款、担保、注销、商标）\n· 复工复产（2020年的规定和现在的规则）\n· 办事服务（找谁办、怎么申报）\n\n直接写下问题即可。也可以回复：\n· 人工：转给工作人员\n· 进度：查自己的咨询单；“进度 1124-007”查某一张\n· 退出：结束当前对话，重新提问",
    );
    contact_lines(&mut text, office);
    text
}

/// The liaisons of office buildings somebody asked for.
pub fn liaisons(liaisons: &[&Liaison]) -> String {
    let mut text = String::from("驻楼联络员：");
    for liaison in liaisons {
        let _ = write!(text, "\n· {}：{}", liaison.building.trim(), liaison.name.trim());
        if !liaison.phone.trim().is_empty() {
            let _ = write!(text, "，电话 {}", liaison.phone.trim());
        }
    }
    text.push_str("\n\n没有您的楼宇，或要办公室转告的，回复“人工”。");
    text
}

fn contact_lines(text: &mut String, office: &OfficeFacts) {
    for (label, value) in [("电话", &office.phone), ("地址", &office.address), ("时间", &office.hours)]
    {
        if !value.trim().is_empty() {
            let _ = write!(text, "\n{label}：{}", value.trim());
        }
    }
}

/// One of a choice: the entry's name and title.
pub type Choice<'a> = (&'a EntryId, &'a str);

/// The lines of a choice. Each can be tapped, where that is wanted and fits, and says its title then; its number can be typed.
fn choices(choices: &[Choice<'_>], tappable: bool, room: usize) -> String {
    let lines = |line: &dyn Fn(usize, &Choice<'_>) -> String| {
        let numbered = choices.iter().enumerate().map(|(n, choice)| line(n + 1, choice));
        numbered.collect::<Vec<_>>().concat()
    };
    let tapped = |says: &dyn Fn(usize, &str) -> String| {
        lines(&|n, (id, title)| {
            let words = format!("{n}. {title}");
            bubble::tappable(&words, &says(n, title), &format!("{ENTRY}{id}")) + "\n"
        })
    };
    let plain = || lines(&|n, (_, title)| format!("{n}. {title}\n"));
    if !tappable {
        return plain();
    }
    // Titles in a link have nine bytes a character: of a long list only the numbers fit.
    let fits = |text: &String| text.len() <= room;
    let all = [tapped(&|_, title| title.to_owned()), tapped(&|n, _| n.to_string())];
    all.into_iter().find(fits).unwrap_or_else(plain)
}

/// A short choice.
pub fn offer(offered: &[Choice<'_>], place: Option<&Place>, tappable: bool) -> String {
    let how = if tappable { "点一下，或回复数字" } else { "回复数字" };
    let mut text = match place {
        Some(place) => format!(
            "您提到{}。我们只掌握全国和上海、闵行、莘庄的规定，别处的标准不能套用，请咨询当地 12345 或主管部门。\n如果事情其实在这里，{how}查看：\n",
            place.name
        ),
        None => format!("您是不是想问（{how}）：\n"),
    };
    const END: &str = "\n都不是的话，换个说法再问，或回复“人工”。";
    let room = MAX_REPLY.saturating_sub(text.len() + END.len());
    text.push_str(&choices(offered, tappable, room));
    text.push_str(END);
    text
}

/// The questions of one category, from a menu button.
pub fn category(category: Category, listed: &[Choice<'_>], tappable: bool) -> String {
    const END: &str = "\n没有想问的？直接写下您的问题。";
    let how = if tappable { "点一下，或回复数字查看" } else { "回复数字查看" };
    let mut text = format!("{}，大家常问（{how}）：\n", category.name());
    let room = MAX_REPLY.saturating_sub(text.len() + END.len());
    text.push_str(&choices(listed, tappable, room));
    text.push_str(END);
    text
}

/// Why a question goes to staff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The bot has no vetted answer.
    Unknown,
    /// The follower asked for a person.
    Wanted,
    /// Two answers were of no use.
    Useless,
}

/// A ticket was opened.
pub fn opened(
    why: Why,
    deadline: Deadline,
    describe: bool,
    ask_contact: bool,
    office: &OfficeFacts,
) -> String {
    let mut text = match why {
        Why::Unknown => String::from("这个问题我没有核实过的答案，不乱说，已转给工作人员。\n"),
        Why::Wanted => String::from("已转给工作人员。\n"),
        Why::Useless => String::from("抱歉没能帮上忙，已转给工作人员。\n"),
    };
    let _ = write!(text, "\n编号：{NUMBER}\n答复期限：{}\n", by(deadline));
    text.push_str("答复会发到这里。回复“进度”随时查看。\n");
    if describe {
        text.push_str("\n请接着写下您的问题，图片也可以。\n");
    }
    if ask_contact {
        text.push_str("\n方便联系的话，请补充（可以不填）：单位、联系人、电话、方便的时间。");
        if office.privacy.trim().is_empty() {
            text.push_str("这些信息只用于办理这次咨询。");
        } else {
            text.push_str(office.privacy.trim());
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// There are too many open tickets; this went to the newest.
pub fn added_to_newest(ticket: &Ticket, n_open: usize) -> String {
    format!(
        "您已有{n_open}张咨询单在办，这个问题加进了最新的一张：{}（{}）。\n答复会发到这里，回复“进度”查看。",
        number(ticket),
        by(ticket.deadline)
    )
}

/// A receipt for what was added to a ticket.
pub fn receipt(ticket: &Ticket) -> String {
    match ticket.stage {
        Stage::Answered | Stage::Closed => {
            format!("已补充到 {}，工作人员会接着答复。想问别的，请先回复“退出”。", number(ticket))
        }
        _ => format!(
            "已补充到 {}，答复期限 {}。\n想问别的，请先回复“退出”。",
            number(ticket),
            by(ticket.deadline)
        ),
    }
}

/// Contact data was noted.
pub fn contact_noted(ticket: &Ticket) -> String {
    format!("联系方式已记在 {}，谢谢。", number(ticket))
}

/// A ticket takes no more lines.
pub fn full(ticket: &Ticket) -> String {
    format!("{} 已经记满了，刚才这条没有记上。请等工作人员答复，或先回复“退出”再提新的问题。", number(ticket))
}

/// Own tickets.
pub fn progress(tickets: &[Ticket], tappable: bool) -> String {
    let mut tickets: Vec<&Ticket> = tickets.iter().collect();
    if tickets.is_empty() {
        return String::from("您现在没有咨询单。直接写下问题，或回复“人工”。");
    }
    tickets.sort_by_key(|ticket| (!ticket.stage.is_open(), std::cmp::Reverse(ticket.opened_at)));
    let mut text = String::from("您的咨询单：\n");
    for ticket in tickets.iter().take(6) {
        let number = number(ticket);
        let number = match tappable {
            true => bubble::tappable(&number, &format!("进度 {number}"), COMMAND),
            false => number,
        };
        let _ = writeln!(text, "\n{number} {}\n{}", state(ticket), shorten(&ticket.subject, 30));
    }
    text.push_str(if tappable {
        "\n点编号，或回复“进度 编号”看详细。"
    } else {
        "\n回复“进度 编号”看详细。"
    });
    text
}

/// One own ticket.
pub fn progress_of(ticket: &Ticket, page: Option<&str>) -> String {
    let mut text = format!(
        "咨询单 {}\n状态：{}\n问题：{}\n提交：{}\n类别：{}，承办：{}",
        number(ticket),
        state(ticket),
        shorten(&ticket.subject, 60),
        ticket.opened_at,
        ticket.category.name(),
        ticket.department.name()
    );
    if let Some(rating) = ticket.rating {
        let _ = write!(text, "\n您的评价：{}", rating.name());
    }
    if let Some(page) = page {
        let _ = write!(text, "\n\n{}", bubble::link("查看办理情况和答复全文", page));
    }
    text
}

/// Stands after the beginning of an answer that is too long for one message.
pub fn rest_on_page(page: &str) -> String {
    format!("\n\n{}", bubble::link("答复较长，点此看全文", page))
}

/// There is no such ticket among the follower's own.
pub const NO_SUCH_TICKET: &str = "没有找到您名下的这张咨询单。回复“进度”看您所有的单子。";

fn state(ticket: &Ticket) -> String {
    if ticket.stage == Stage::NeedsInfo {
        return format!("{}，等您补充", ticket.stage.name());
    }
    if ticket.stage.is_open() {
        return format!("{}，{}答复", ticket.stage.name(), by(ticket.deadline));
    }
    ticket.stage.name().to_owned()
}

/// The number as people say it; the placeholder while the store has not given one.
pub fn number(ticket: &Ticket) -> String {
    ticket.number.map_or_else(|| NUMBER.to_string(), |number: Number| number.to_string())
}

/// "11月25日 10:30前", with the caution past the calendar's end.
pub fn by(deadline: Deadline) -> String {
    let caution = if deadline.tentative { "（节假日安排以通知为准）" } else { "" };
    format!("{}前{caution}", moment(deadline.at))
}

fn moment(at: Timestamp) -> String {
    let t = at.local();
    format!("{}月{}日 {:02}:{:02}", t.month(), t.day(), t.hour(), t.minute())
}

/// A file of staff's, in words.
pub fn enclosed(number: &str, enclosure: &Enclosure, page: Option<&str>) -> String {
    let what = if enclosure.is_picture { "图片" } else { "文件" };
    let name = shorten(&enclosure.name, 60);
    match page {
        Some(page) => format!("【{number} {what}】\n{}", bubble::link(&format!("打开：{name}"), page)),
        None => format!("【{number} {what}】{name}"),
    }
}

/// Words that are commands and may be tapped where a sentence of ours quotes them. Not 人工: who types it gives the office
/// two days to answer, a tap gives one minute (PROTOCOL §7).
const TAPPED: [&str; 7] = ["进度", "菜单", "继续", "退出", "满意", "一般", "不满意"];
/// Stands beside them: they count as their words.
const COMMAND: &str = "cmd";

/// A text of the bot's own with its commands to tap, where they fit.
pub fn tapped(text: &str) -> Option<String> {
    bubble::with_taps(text, &TAPPED, COMMAND, MAX_REPLY)
}

/// The deadline has moved.
pub fn extended(ticket: &Ticket) -> String {
    format!(
        "【{} 延期】\n您的咨询还在核实，需要多一些时间，答复期限改为 {}。请您谅解。",
        number(ticket),
        by(ticket.deadline)
    )
}

/// Asks, the day after closing, how it was.
pub fn call_back(ticket: &Ticket, tappable: bool) -> String {
    let text = format!(
        "【{} 回访】\n您咨询的“{}”已经办结，解决了吗？\n请回复“满意”“一般”“不满意”，或打 1–5 分（5 分最好）；没解决的直接写，会重新办理。",
        number(ticket),
        shorten(&ticket.subject, 30)
    );
    tappable.then(|| tapped(&text)).flatten().unwrap_or(text)
}

/// What stands before and after words of staff.
pub type Frame = (String, String);

fn frame(head: String, tail: &str, tappable: bool) -> Frame {
    let tail = tappable.then(|| tapped(tail)).flatten().unwrap_or_else(|| tail.to_owned());
    (head, tail)
}

/// What an answer or a question of staff is wrapped in.
pub fn answer_frame(number: &str, tappable: bool) -> Frame {
    let tail = "\n\n——工作人员答复。回复“满意”“一般”“不满意”或 1–5 分评价；还有疑问直接写。";
    frame(format!("【{number} 答复】\n"), tail, tappable)
}

/// Around a question staff ask back.
pub fn ask_frame(number: &str) -> Frame {
    frame(format!("【{number} 请补充】\n"), "\n\n——直接回复即可，工作人员会看到。", false)
}

/// Around the last word of a ticket.
pub fn close_frame(number: &str, tappable: bool) -> Frame {
    frame(
        format!("【{number} 已办结】\n"),
        "\n\n——回复“满意”“一般”“不满意”或 1–5 分评价；七天内有疑问可以直接写。",
        tappable,
    )
}

/// Thanks for a rating.
pub fn rated(rating: Rating, ticket: &Ticket) -> String {
    if rating.is_bad() {
        return format!(
            "很抱歉没有帮到您。{} 已退回重新办理，由负责人督办，{}答复。哪里没说清楚，请直接写下来。",
            number(ticket),
            by(ticket.deadline)
        );
    }
    format!("谢谢您的评价（{}）。有新问题随时写给我们。", rating.name())
}

/// After 退出.
pub fn left(had_ticket: bool) -> &'static str {
    if had_ticket {
        "好的，已回到自动答复。您的咨询单仍在办理，答复会发到这里。请写下新的问题。"
    } else {
        "好的。请写下您的问题，或回复“菜单”看说明。"
    }
}

/// After the first 没用 with nothing else to offer.
pub const REPHRASE: &str = "抱歉没答到点子上。请换个说法、多写一点情况再问一次；或回复“人工”转给工作人员。";
/// 没用, 继续 or a rating where there is nothing it could mean.
pub const NOTHING_YET: &str = "请先写下您的问题，我来查。要找工作人员请回复“人工”。";
/// The subject of a ticket whose question is still to come.
pub const NO_QUESTION_YET: &str = "要求人工咨询";
/// Stands for the question of somebody who asks for a person and has said nothing else.
pub const WANTS_A_PERSON: &str = "（要求人工）";
/// Nothing more waits.
pub const NO_MORE: &str = "没有更多内容了。";
/// A rating without an answer to rate.
pub const NOTHING_TO_RATE: &str = "现在没有等待评价的答复。";
/// A message without a question.
pub const EMPTY: &str = "没看明白。请用一句话写下您的问题，例如“试用期最长几个月”；或回复“菜单”看说明。";
/// WeChat showed us a placeholder.
pub const UNSUPPORTED: &str = "这种消息微信没有传给我们，看不到内容。请用文字写下问题，或发图片。";
/// A QR code was scanned that leads to nothing in particular.
pub const SCANNED: &str = "您好，请直接写下您的问题；或回复“菜单”看说明。";
/// The follower writes too fast.
pub const TOO_FAST: &str = "您发得太快了，后面的消息没有处理。请过一分钟再发。";
/// The rest of what did not fit follows on 继续.
pub const MORE: &str = "\n\n（还有内容，回复“继续”查看）";

/// An attachment outside a ticket.
pub fn cannot_read(kind: &str) -> String {
    format!(
        "收到您的{kind}，自动答复还看不懂。请用文字写下问题；需要工作人员看，请回复“人工”，半小时内发的会一起转去。"
    )
}
