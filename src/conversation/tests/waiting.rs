//! What cannot be sent now, and what becomes of it.

use super::*;

fn undeliverable(chat: &mut Chat, say: &Say, later: Later) {
    let (delivery, ticket, text) = (say.delivery, say.ticket, say.text.clone());
    chat.happens(Event::Undeliverable { delivery, ticket, text, why: "超过48小时".into(), later });
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
    assert_eq!(chat.ticket().rating, Some(Rating::Good));
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
    let answer = || Act::Answer("答".repeat(600));
    let refused: Vec<_> = (0..40).map(|_| chat.staff(answer())).collect();
    assert_eq!(refused.iter().filter(|refusal| refusal.is_none()).count(), staff::MAX_IN_REPLY);
    assert_eq!(refused.last().unwrap(), &Some(Refusal::TooManyWait));
    for n in 0..300 {
        let text = Text::from("答".repeat(600));
        let say = Say { delivery: DeliveryId(n), ticket: chat.ticket().id, text, when: Ok(chat.now) };
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
