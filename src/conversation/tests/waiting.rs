//! What cannot be sent now, and what becomes of it.

use super::*;

fn undeliverable(chat: &mut Chat, say: &Say, later: Later) {
    let (delivery, ticket, text) = (say.delivery, say.ticket, say.text.clone());
    let (why, shut, rungs) = ("超过48小时".into(), None, Vec::new());
    let tried_at = chat.now;
    chat.happens(Event::Undeliverable { delivery, ticket, text, why, later, shut, tried_at, rungs });
}

/// A chat whose answer could not be sent.
fn with_a_parked_answer() -> (Chat, DeliveryId) {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::Answer("要。".into()));
    let say = chat.says[0].clone();
    undeliverable(&mut chat, &say, Later::OnContact);
    assert_eq!(chat.memory.parked.len(), 1);
    (chat, say.delivery)
}

#[test]
fn a_parked_answer_goes_when_the_follower_next_writes() {
    for word in ["在吗", "我不想活了"] {
        let (mut chat, delivery) = with_a_parked_answer();
        chat.said(word);
        assert_eq!(chat.settles.last().unwrap(), &(delivery, Settlement::Due(chat.now)), "{word}");
        assert!(chat.memory.parked.is_empty());
    }
}

#[test]
fn who_has_not_seen_the_answer_can_neither_reopen_nor_outlive_it() {
    let (mut chat, _) = with_a_parked_answer();
    assert_eq!(chat.memory.state, State::Answering);
    chat.after(8 * 24 * HOUR);
    chat.happens(Event::TimePassed);
    assert_eq!(chat.ticket().stage, Stage::Answered, "seven days begin when the answer is there");
    chat.said("在吗");
    assert_eq!(chat.ticket().stage, Stage::Answered, "a greeting is no question about it");
    assert!(matches!(chat.memory.state, State::Rating { .. }));
    chat.after(24 * HOUR);
    chat.said("满意");
    assert_eq!(chat.ticket().rating, Some(Rating::GOOD));
}

#[test]
fn without_the_customer_service_interface_it_goes_first_in_the_reply_and_the_rest_on_more() {
    let mut chat = Chat::begin();
    chat.settings.customer_service = false;
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::Answer("要。".into()));
    assert!(chat.says[0].when.is_err());
    chat.staff(Act::Answer("还要照片。".into()));
    chat.said("你好");
    let arrived = |chat: &Chat| chat.settles.iter().map(|(delivery, _)| *delivery).collect::<Vec<_>>();
    assert_eq!(arrived(&chat), [chat.says[0].delivery], "only what is in the reply counts as delivered");
    let first = chat.memory.recent.back().unwrap().reply.text().cloned().unwrap();
    assert!(first.contains("要。") && first.contains("继续"), "{first}");
    let urgent = chat.said("我不想活了");
    assert!(urgent.contains("120") && !urgent.contains("照片"), "{urgent}");
    let second = chat.said("继续");
    assert!(second.contains("还要照片"), "{second}");
    assert_eq!(arrived(&chat), [chat.says[0].delivery, chat.says[1].delivery]);
    assert!(chat.said("继续").contains("您好"), "the reply to 你好 comes last");
    assert_eq!(chat.said("继续"), phrases::NO_MORE);
}

#[test]
fn however_many_answers_wait_the_memory_fits_into_the_store() {
    let mut chat = Chat::begin();
    chat.settings.customer_service = false;
    chat.said("外星人来开公司要不要护照");
    for _ in 0..30 {
        chat.said(&"很长的话".repeat(400));
        chat.after(10 * HOUR);
    }
    let answer = || Act::Answer("答".repeat(500));
    let refused: Vec<_> = (0..40).map(|_| chat.staff(answer())).collect();
    assert_eq!(refused.iter().filter(|refusal| refusal.is_none()).count(), staff::MAX_IN_REPLY);
    assert_eq!(refused.last().unwrap(), &Some(Refusal::TooManyWait));
    for n in 0..300 {
        let text = Text::from("答".repeat(600));
        let say = Say {
            delivery: DeliveryId(n),
            ticket: chat.ticket().id,
            text,
            picture: None,
            when: Ok(chat.now),
        };
        undeliverable(&mut chat, &say, if n % 2 == 0 { Later::OnContact } else { Later::InReply });
    }
    let bytes = postcard::to_stdvec(&chat.memory).unwrap().len();
    assert!(bytes < 60 * 1024, "{bytes}");
    for _ in 0..20 {
        chat.said("你好");
        chat.after(HOUR);
    }
    assert!(chat.memory.more.len() <= 4);
}

#[test]
fn the_book_of_the_window_goes_by_what_the_follower_did_and_what_was_sent() {
    let mut chat = Chat::begin();
    let left = |chat: &Chat| chat.memory.window.open(chat.now).map(|right| (right.left, right.of));
    assert_eq!(left(&chat), None);
    chat.happens(Event::Clicked("菜单".into()));
    assert_eq!(left(&chat), Some((3, 3)));
    chat.said("外星人来开公司要不要护照");
    assert_eq!(left(&chat), Some((5, 5)));
    chat.staff(Act::Answer("要。".into()));
    let say = chat.says[0].clone();
    chat.happens(Event::Delivered(say.delivery));
    assert_eq!(left(&chat), Some((4, 5)), "a reply costs nothing, a message one");
    chat.happens(Event::Tapped { says: "房租".into(), id: "kb:none".into() });
    assert_eq!(left(&chat), Some((4, 5)), "a tap is no message that gives five again");
    chat.after(47 * HOUR);
    assert_eq!(left(&chat), Some((4, 5)));
    chat.after(HOUR);
    assert_eq!(left(&chat), None);
    chat.said("在吗");
    let (delivery, ticket, text) = (say.delivery, say.ticket, say.text.clone());
    let (why, later, rungs) = (String::new(), Later::OnContact, Vec::new());
    let (shut, tried_at) = (Some(Shut::Spent), chat.now);
    chat.happens(Event::Undeliverable { delivery, ticket, text, why, later, shut, tried_at, rungs });
    assert_eq!(left(&chat), Some((0, 5)), "WeChat knows better");
}

#[test]
fn what_else_was_tried_is_kept_with_the_message_and_a_consent_is_used_once() {
    let (mut chat, delivery) = with_a_parked_answer();
    let consents = |chat: &Chat| chat.memory.consents.iter().map(|consent| consent.n).collect::<Vec<_>>();
    let allow = |allowed| Event::Consented(vec![("T1".to_owned(), allowed)]);
    chat.happens(allow(true));
    chat.happens(allow(true));
    assert_eq!(consents(&chat), [2]);
    let tried = |channel, result| Rung { at: Timestamp::from_s(1), channel, result };
    let climb = |chat: &mut Chat, rungs: Vec<Rung>| {
        let (ticket, text, why) = (chat.ticket().id, Text::from("要。"), String::new());
        let (later, shut) = (Later::OnContact, None);
        let tried_at = chat.now;
        chat.happens(Event::Undeliverable { delivery, ticket, text, why, later, shut, tried_at, rungs });
    };
    climb(&mut chat, vec![tried(Channel::Subscribe, RungResult::Taken("T1".into()))]);
    assert_eq!(consents(&chat), [1]);
    let fate = |known_by: &str, lost: Option<&str>, channel| NoticeFate {
        channel,
        known_by: known_by.into(),
        lost: lost.map(Into::into),
    };
    chat.happens(Event::Noticed(vec![fate("T1", None, Channel::Subscribe)]));
    // WeChat's word about a template message may come before it is noted that it was sent.
    chat.happens(Event::Noticed(vec![fate("200163836", Some("对方拒收"), Channel::Template)]));
    assert_eq!(chat.rungs.len(), 2);
    climb(&mut chat, vec![tried(Channel::Template, RungResult::Taken("200163836".into()))]);
    let results: Vec<_> =
        chat.rungs.iter().map(|(of, rung)| (*of == delivery, rung.result.clone())).collect();
    assert_eq!(
        results,
        [
            (true, RungResult::Taken("T1".into())),
            (true, RungResult::Arrived),
            (true, RungResult::Taken("200163836".into())),
            (true, RungResult::Lost("对方拒收".into())),
        ]
    );
    climb(&mut chat, vec![tried(Channel::Subscribe, RungResult::NotAllowed("T1".into()))]);
    assert_eq!(consents(&chat), Vec::<u8>::new());
    chat.happens(allow(true));
    chat.happens(allow(false));
    assert_eq!(consents(&chat), Vec::<u8>::new(), "taken back");
    for n in 0..100 {
        chat.happens(Event::Consented(vec![(format!("T{n}"), true)]));
        chat.happens(Event::Noticed(vec![fate(&n.to_string(), None, Channel::Template)]));
    }
    assert!(chat.memory.consents.len() <= 4 && chat.memory.early.len() <= 8, "bounded");
}

fn pages() -> Option<crate::answer_link::AnswerLinks> {
    Some(crate::answer_link::AnswerLinks::new("https://a.cn", [7; 32], 24 * HOUR))
}

#[test]
fn a_long_answer_is_one_message_with_a_link_to_the_rest_or_a_few_messages() {
    let long = "先带营业执照和租赁合同到服务中心。".repeat(60);
    assert!(long.len() > 2_048);
    let mut chat = Chat::begin();
    chat.settings.pages = pages();
    chat.said("外星人来开公司要不要护照");
    assert_eq!(chat.staff(Act::Answer(long.clone())), None);
    let [say] = chat.says.as_slice() else { panic!("one message") };
    assert!(say.text.len() <= crate::knowledge::MAX_REPLY && say.text.contains("https://a.cn/t/"));
    assert!(say.text.contains("服务中心。…"), "cut after a sentence: {}", say.text);
    assert_eq!(chat.staff(Act::Answer("答".repeat(4_001))), Some(Refusal::TooLong(12_000)));

    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    assert_eq!(chat.staff(Act::Answer(long.clone())), None);
    assert_eq!(chat.says.len(), 2);
    for say in &chat.says {
        assert!(say.text.len() <= crate::knowledge::MAX_REPLY);
        assert!(say.text.contains("服务中心。\n\n——"), "each ends with a sentence: {}", say.text);
    }
    assert_ne!(chat.says[0].delivery, chat.says[1].delivery);
    assert!(matches!(chat.staff(Act::Answer("答".repeat(4_001))), Some(Refusal::TooLong(_))));
    assert_eq!(chat.says.len(), 2, "nothing of what was refused is sent");
}

#[test]
fn who_writes_while_a_message_is_tried_gets_it_now_and_keeps_the_right_they_gave() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::Answer("要。".into()));
    let (say, tried_at) = (chat.says[0].clone(), chat.now);
    chat.after(Duration::from_secs(3));
    chat.said("在吗");
    let (delivery, ticket, text) = (say.delivery, say.ticket, say.text);
    let (why, later, shut, rungs) = ("超过48小时".into(), Later::OnContact, Some(Shut::Closed), Vec::new());
    chat.happens(Event::Undeliverable { delivery, ticket, text, why, later, shut, tried_at, rungs });
    assert_eq!(chat.settles.last().unwrap(), &(delivery, Settlement::Due(chat.now)));
    assert!(chat.memory.parked.is_empty());
    assert_eq!(chat.memory.window.open(chat.now).unwrap().left, 5);
}
