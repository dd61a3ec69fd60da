//! What a button of the ticket's page or of the inbox asks for, as an act; and why an act was not done, as a sentence. Knows
//! form fields and wording; whether an act is allowed is `access`'s business, whether it fits `conversation`'s.

use super::Hall;
use super::error::WebError;
use super::form::Fields;
use super::words::number_from_path;
use crate::access::Sight;
use crate::clock::Timestamp;
use crate::conversation::{Act, MergeInto, Refusal};
use crate::knowledge::{Category, Department};
use crate::ticket::{DeliveryId, Departments, Number, Profile, Rating, hex16};
use axum::http::StatusCode;
use std::sync::Arc;

/// The longest text of a form in characters is bounded by the form; labels are split at these.
const LABEL_ENDS: [char; 6] = [',', '，', '、', ';', '；', '\n'];

/// What a form asks for; `Err` says why it cannot be understood.
pub(super) async fn asked(
    hall: &Hall,
    sight: &Sight,
    name: &str,
    fields: &Fields,
) -> Result<Result<Act, String>, WebError> {
    if name == "merge" {
        return merge(hall, sight, fields.trimmed("into")).await;
    }
    if let Some(delivery) = Some(fields.get("takeback")).filter(|text| !text.is_empty()) {
        let delivery = hex16(delivery).map(DeliveryId).ok_or(WebError::BadForm)?;
        return Ok(Ok(Act::TakeBack(delivery)));
    }
    let colleagues = hall.colleagues().await?;
    let (text, reason) = (fields.get("text").to_owned(), fields.trimmed("reason").to_owned());
    let department = || Department::by_name(fields.get("department")).ok_or(WebError::BadForm);
    Ok(Ok(match name {
        "answer" => Act::Answer(text),
        "ask" => Act::AskBack(text),
        "told" => Act::Told(text),
        "close" => Act::Close(Some(text).filter(|text| !text.trim().is_empty())),
        "note" => {
            let note = fields.get("note").to_owned();
            let called = called(&note, &colleagues);
            Act::Note(note, called)
        }
        "claim" => Act::Claim(Some(fields.get("had").to_owned()).filter(|name| !name.is_empty())),
        "assign" => match fields.trimmed("to") {
            "" => Act::Assign(None),
            name if colleagues.iter().any(|colleague| colleague == name) => {
                Act::Assign(Some(name.to_owned()))
            }
            _ => return Ok(Err("没有这位同事，请重新选择。".into())),
        },
        "transfer" => Act::Transfer(department()?, reason),
        "decide" => Act::Decide(department()?, reason),
        "share" => {
            let named = fields.all("with").filter_map(Department::by_name).map(Departments::of);
            Act::Share(named.fold(Departments::default(), Departments::and))
        }
        "extend" => match fields.trimmed("days").parse() {
            Ok(days) => Act::AskExtension(days, reason),
            Err(_) => return Ok(Err("请写延期几个工作日。".into())),
        },
        "grant" => Act::DecideExtension(true, reason),
        "refuse" => Act::DecideExtension(false, reason),
        "snooze" => match moment(fields.trimmed("until")) {
            Some(until) => Act::Snooze(Some(until)),
            None => return Ok(Err("请选挂起到什么时候。".into())),
        },
        "wake" => Act::Snooze(None),
        "reopen" => Act::Reopen(reason),
        "callback" => Act::CallBack(fields.trimmed("rating").parse().ok().and_then(Rating::new), reason),
        "label" => Act::Label(fields.get("labels").split(LABEL_ENDS).map(str::to_owned).collect()),
        "watch" => Act::Watch(true),
        "unwatch" => Act::Watch(false),
        "confide" => Act::Confide(true),
        "open" => Act::Confide(false),
        "refile" => {
            let category = Category::ALL.into_iter().find(|one| one.name() == fields.get("category"));
            Act::Refile(category.ok_or(WebError::BadForm)?)
        }
        "describe" => Act::Describe(profile(fields)),
        _ => return Err(WebError::BadForm),
    }))
}

/// Who asks, from a form.
pub(super) fn profile(fields: &Fields) -> Profile {
    let field = |name: &str| {
        let text = fields.trimmed(name);
        (!text.is_empty()).then(|| Arc::from(text))
    };
    Profile {
        alias: field("alias"),
        phone: field("phone"),
        enterprise: field("enterprise"),
        building: field("building"),
    }
}

/// Colleagues whose names stand behind an @ in a note.
fn called(note: &str, colleagues: &[String]) -> Vec<String> {
    let mut note = note.replace('＠', "@");
    // A longer name is not its beginning's: whoever is found is taken out.
    let mut by_length: Vec<&String> = colleagues.iter().collect();
    by_length.sort_by_key(|name| std::cmp::Reverse(name.chars().count()));
    let mut is_called = |name: &String| {
        let call = format!("@{name}");
        let is = note.contains(&call);
        note = note.replace(&call, " ");
        is
    };
    by_length.into_iter().filter(|name| is_called(name)).cloned().collect()
}

/// A moment as a browser's field writes it, in Shanghai.
fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::civil::DateTime>().ok().map(Timestamp::from_local)
}

/// The ticket another one is to be merged into, by its number as people type it.
async fn merge(hall: &Hall, sight: &Sight, typed: &str) -> Result<Result<Act, String>, WebError> {
    let year = hall.now().date().year();
    let number = number_from_path(typed).or_else(|| Number::parse(typed, year));
    let Some(number) = number else { return Ok(Err("请写要并入的单号，例如 1124-007。".into())) };
    let last_year = Number { year: year - 1, ..number };
    let mut found = hall.store().numbered(number).await?;
    if found.is_none() {
        found = hall.store().numbered(last_year).await?;
    }
    // What somebody may not see is not there.
    let Some(ticket) = found.filter(|ticket| sight.sees(ticket)) else {
        return Ok(Err(format!("没有找到单号 {number}，或者您看不到它。")));
    };
    let into = ticket.number.map(|number| MergeInto { ticket: ticket.id, follower: ticket.follower, number });
    Ok(into.map(Act::Merge).ok_or_else(|| "这张单子还没有编号。".into()))
}

/// Why an act was not done.
pub(super) fn sentence(refusal: &Refusal, act: &str, text: &str) -> (StatusCode, String) {
    use StatusCode as S;
    let (status, sentence) = match refusal {
        Refusal::Newer => {
            (S::CONFLICT, "您打开页面之后又有新内容，还没有发出。请看过标出的新内容，改好后再按一次。")
        }
        Refusal::Over => (S::CONFLICT, "这张单子已经办结、并单或者记满了，没有做成。"),
        Refusal::Gone => {
            (S::CONFLICT, "这张单子太旧，已经不能再往里写，没有做成。请让用户重新提问，或直接联系用户。")
        }
        Refusal::Empty if act == "close" => {
            (S::UNPROCESSABLE_ENTITY, "还没有答复过，办结前请写一句给用户的话。")
        }
        Refusal::Empty => (S::UNPROCESSABLE_ENTITY, "还没有写内容。"),
        Refusal::NoPage => (
            S::UNPROCESSABLE_ENTITY,
            "没有发出：现在只能发 JPG、PNG、GIF 图片，而且公众号要有客服接口。要发别的文件，请管理员在配置里填好 public_url，并让 answers.page_days 大于 0。",
        ),
        Refusal::TooManyWait => (
            S::CONFLICT,
            "已有很多条消息在等用户来信，没有发出。请等用户写来、收到前面的之后再答，或直接打电话。",
        ),
        Refusal::TooLong(room) => return too_long(*room, text),
        Refusal::NoWechat => (
            S::UNPROCESSABLE_ENTITY,
            "提问的人不在微信里，没有发出。请打电话告诉对方，再按“已电话答复”记下来。",
        ),
        Refusal::Taken => {
            (S::CONFLICT, "刚才有人动过办理人，没有领取。请看过现在是谁在办，需要的话再按一次。")
        }
        Refusal::Same => (S::CONFLICT, "已经是这样了，没有变动。"),
        Refusal::NoReason => (S::UNPROCESSABLE_ENTITY, "请写明理由或情况。"),
        Refusal::Settled => (S::CONFLICT, "值班负责人已经裁定由本部门办理，不能再转办。"),
        Refusal::Disputed => (S::CONFLICT, "正在等值班负责人裁定由谁办理，现在不能转办。"),
        Refusal::TooLate => (S::CONFLICT, "已经过了答复期限，延期要在到期之前申请。请尽快答复。"),
        Refusal::NothingAsked => (S::CONFLICT, "没有等待决定的事项，可能同事已经处理过了。"),
        Refusal::Left => (S::CONFLICT, "已经发出，撤不回来了。需要更正的，请再写一条。"),
        Refusal::TooMany => (
            S::UNPROCESSABLE_ENTITY,
            "超出了范围：延期 1–15 个工作日，挂起最多 30 天，标签最多 8 个，关注的人最多 30 位。",
        ),
        Refusal::Circle => (S::CONFLICT, "不能并入自己；有别的单子并入本单时，也不能再把本单并走。"),
        Refusal::NotOver => (S::CONFLICT, "这张单子还在办理，不用这样做。"),
    };
    (status, sentence.into())
}

fn too_long(room: usize, text: &str) -> (StatusCode, String) {
    let over = text.trim().replace("\r\n", "\n").len().saturating_sub(room);
    let n = over.div_ceil(3).max(1);
    let long = format!("太长了，没有发出，请删去至少 {n} 个字（最多约 {} 个汉字）。", room / 3);
    (StatusCode::UNPROCESSABLE_ENTITY, long)
}

/// What is said after an act that was done.
pub(super) fn done(name: &str) -> &'static str {
    match name {
        "answer" => "答复已记下，正在发给用户；送达情况看消息下方。",
        "ask" => "已请用户补充，期限暂停计算；送达情况看消息下方。",
        "told" => "已记下电话（当面）答复。",
        "close" => "已办结。",
        "note" => "备注已记下，只有同事看得到。",
        "claim" => "已领取，请尽快答复。",
        "file" => "文件已记下，正在发给用户；送达情况看消息下方。",
        "assign" => "已改派。",
        "transfer" => "已转办，答复期限不变。",
        "decide" => "已裁定。",
        "share" => "协办部门已更新。",
        "extend" => {
            "延期申请已提交；您是负责人的，已经直接生效。微信里的用户会收到新的期限；来电来访的，请打电话告诉对方。"
        }
        "lodged" => "已登记，编号和期限见上方。答复后按“已电话（当面）答复”记下。",
        "reveal" => "完整号码显示十分钟，已记入审计。",
        "grant" => "已同意延期。微信里的用户会收到新的期限；来电来访的，请打电话告诉对方。",
        "refuse" => "没有同意延期，期限不变。",
        "snooze" => "已挂起，到时间会回到待办；期限不变。",
        "wake" => "已取消挂起。",
        "reopen" => "已重新办理。",
        "callback" => "回访已记下。",
        "merge" => "已并单，主单答复后，本单的用户会一起收到。",
        "takeback" => "已撤回，没有发出；写的内容放回了输入框。",
        "label" | "refile" | "describe" | "confide" | "open" | "watch" | "unwatch" => "已保存。",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stands_behind_an_at_is_called() {
        let colleagues = ["王敏".to_owned(), "王敏敏".to_owned(), "李雷".to_owned()];
        assert_eq!(called("@王敏敏 请看", &colleagues), ["王敏敏"]);
        assert_eq!(called("请 ＠李雷 看一下", &colleagues), ["李雷"]);
        assert!(called("王敏说可以", &colleagues).is_empty());
    }

    #[test]
    fn a_moment_is_shanghais() {
        assert_eq!(moment("2026-11-25T09:00").unwrap().to_string(), "2026-11-25 09:00");
        assert_eq!(moment("明天"), None);
    }
}
