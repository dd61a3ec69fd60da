//! Words that can be tapped, codes that are scanned.

use super::*;

/// What WeChat sends when these words of a reply are tapped.
fn tapped(reply: &str, words: &str) -> Event {
    let link = reply.split("<a href=\"").find(|part| part.contains(&format!("{words}</a>"))).unwrap();
    let query = link.split('"').next().unwrap().split_once("msgmenucontent=").unwrap().1;
    let (says, id) = query.split_once("&msgmenuid=").unwrap();
    Event::Tapped { says: decoded(says), id: decoded(id) }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = (*first == b'%').then(|| std::str::from_utf8(&after[..2]).unwrap());
        bytes.push(hex.map_or(*first, |hex| u8::from_str_radix(hex, 16).unwrap()));
        rest = if hex.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap()
}

fn raw(chat: &mut Chat, event: Event) -> String {
    chat.happens(event).reply.unwrap().to_string()
}

#[test]
fn a_choice_is_tapped_or_typed_and_a_tap_holds_when_the_numbers_have_lapsed() {
    let mut chat = Chat::begin();
    let offer = raw(&mut chat, Event::Said("房租能减免吗".into()));
    let plain = bubble::plain(&offer);
    let title = plain.lines().find(|line| line.starts_with("2. ")).unwrap()[3..].to_owned();
    let tap = tapped(&offer, &format!("2. {title}"));
    let Event::Tapped { says, .. } = &tap else { unreachable!() };
    assert_eq!(*says, title, "it stands in the chat as the title");
    assert!(chat.reply(tap.clone()).starts_with(&format!("【{title}】")));
    assert!(chat.said("1").starts_with('【'), "the numbers stay valid");
    chat.after(HOUR);
    assert!(chat.reply(tap.clone()).starts_with(&format!("【{title}】")), "an hour later");
    chat.said("人工");
    chat.said("我想问厂房的事");
    let n_lines = chat.ticket().n_lines;
    assert!(chat.reply(tap).starts_with(&format!("【{title}】")));
    assert_eq!(chat.ticket().n_lines, n_lines, "it is no message to staff");
    assert!(matches!(chat.memory.state, State::WithStaff(_)));
}

#[test]
fn a_list_too_long_for_its_titles_in_links_says_numbers_and_every_list_fits() {
    for category in crate::knowledge::Category::ALL {
        let mut chat = Chat::begin();
        let list = raw(&mut chat, Event::Clicked(category.folder().into()));
        assert!(list.len() <= crate::knowledge::MAX_REPLY, "{} bytes", list.len());
        assert!(list.contains("weixin://bizmsgmenu"), "{list}");
        let last = bubble::plain(&list).lines().filter(|line| line.contains(". ")).count();
        let words = bubble::plain(&list)
            .lines()
            .find(|line| line.starts_with(&format!("{last}. ")))
            .unwrap()
            .to_owned();
        assert!(
            chat.reply(tapped(&list, &words))
                .starts_with(&format!("【{}】", words.split_once(". ").unwrap().1))
        );
    }
}

#[test]
fn the_number_of_a_ticket_is_tapped_to_see_how_it_stands() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    let list = raw(&mut chat, Event::Said("进度".into()));
    let detail = chat.reply(tapped(&list, "1124-001"));
    assert!(detail.contains("咨询单 1124-001") && detail.contains("状态："), "{detail}");
}

#[test]
fn where_links_are_not_wanted_there_are_none() {
    let mut chat = Chat::begin();
    chat.settings.tappable = false;
    let offer = raw(&mut chat, Event::Said("房租能减免吗".into()));
    assert!(!offer.contains("<a ") && offer.contains("回复数字"), "{offer}");
}

#[test]
fn what_is_tapped_elsewhere_counts_as_its_words_but_gives_no_long_window() {
    let mut chat = Chat::begin();
    let tap = |says: &str, id: &str| Event::Tapped { says: says.into(), id: id.into() };
    assert!(chat.reply(tap("人工", "cmd")).contains("编号"));
    assert_eq!(chat.memory.window.open(chat.now).unwrap().of, 3);
    let mut chat = Chat::begin();
    assert!(
        chat.reply(tap("员工干了半年没签合同，要双倍工资", "kb:gone")).contains("依据"),
        "an entry that is no more"
    );
    for id in ["", "kb:", "kb:\u{e000}", "💥", &"x".repeat(9_000)] {
        chat.after(HOUR);
        assert!(!chat.reply(tap("你好", id)).is_empty());
    }
}

#[test]
fn the_place_a_question_named_stays_with_its_choices() {
    let mut chat = Chat::begin();
    let (id, place) =
        (crate::knowledge::EntryId::new("severance-calculation"), Knowledge::place("苏州的补偿金"));
    assert!(place.is_some());
    let until = chat.now.after(HOUR);
    let tap = || Event::Tapped { says: "经济补偿".into(), id: "kb:severance-calculation".into() };
    assert!(chat.reply(tap()).contains("37731"), "here the local figure holds");
    chat.memory.state = State::Choosing { entries: vec![id], until, place, back: None };
    let elsewhere = chat.reply(tap());
    assert!(elsewhere.contains("劳动合同法") && !elsewhere.contains("37731"), "{elsewhere}");
}

#[test]
fn a_code_leads_to_its_entry_or_category_and_is_remembered() {
    let scene = "contract-double-pay";
    let mut chat = Chat::begin();
    let reply = chat.reply(Event::Followed { scene: Some(scene.into()) });
    assert!(reply.starts_with('【') && reply.contains("合同"), "{reply}");
    assert!(chat.said("继续").contains("莘企政策咨询"), "the welcome comes after");
    assert_eq!(chat.memory.scene.as_ref().map(|(scene, _)| &**scene), Some(scene));
    assert!(chat.reply(Event::Scanned("labour".into())).contains("劳资纠纷"));
    assert_eq!(chat.reply(Event::Scanned("三号楼海报".into())), phrases::SCANNED);
    assert_eq!(chat.memory.scene.as_ref().map(|(scene, _)| &**scene), Some("三号楼海报"));
    assert!(chat.reply(Event::Followed { scene: Some("三号楼海报".into()) }).contains("莘企政策咨询"));
    chat.reply(Event::Scanned("x".repeat(50_000)));
    assert!(chat.memory.scene.unwrap().0.chars().count() <= 65, "bounded");
}
