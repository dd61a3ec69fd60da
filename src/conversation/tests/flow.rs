//! What happens to a ticket between people of the office, and what the asker gets to hear of it.

use super::*;
use crate::knowledge::Department;
use crate::ticket::{CallBack, ForLead, Origin, Profile};

const DAY: Duration = Duration::from_secs(24 * 3600);
const UNKNOWN: &str = "外星人来开公司要不要护照";

fn asked() -> Chat {
    let mut chat = Chat::begin();
    chat.said(UNKNOWN);
    assert_eq!(chat.ticket().stage, Stage::Waiting);
    chat
}

impl Chat {
    fn lead(&mut self, act: Act) -> Option<Refusal> {
        let ticket = self.ticket();
        let act =
            StaffAct { ticket: ticket.id, by: "赵主任".into(), is_lead: true, seen: ticket.n_lines, act };
        self.happens(Event::Staff(act)).refusal
    }

    fn last_said(&self) -> String {
        bubble::plain(&self.says.last().unwrap().text)
    }
}

fn because(text: &str) -> String {
    text.to_owned()
}

#[test]
fn the_clock_stands_while_the_follower_is_asked_and_runs_on_when_they_answer() {
    let mut chat = asked();
    let due = chat.ticket().deadline.at;
    chat.after(HOUR);
    assert_eq!(chat.staff(Act::AskBack("请问公司全称？".into())), None);
    let left = chat.ticket().left_s.unwrap();
    chat.after(DAY * 7);
    chat.said("莘庄某某餐饮公司");
    let ticket = chat.ticket();
    assert_eq!((ticket.stage, ticket.left_s), (Stage::Working, None));
    assert!(ticket.deadline.at > due);
    let again = HANDBOOK.1.work_between(chat.now, ticket.deadline.at);
    assert_eq!(again.as_secs(), u64::from(left), "what was left of the office's time is left now");
}

#[test]
fn who_asks_when_it_is_overdue_stays_overdue() {
    let mut chat = asked();
    chat.after(DAY * 3);
    let due = chat.ticket().deadline.at;
    assert!(due < chat.now);
    chat.staff(Act::AskBack("请问公司全称？".into()));
    chat.said("莘庄某某餐饮公司");
    assert_eq!(chat.ticket().deadline.at, due);
}

#[test]
fn a_transfer_needs_a_reason_and_a_target_and_never_stops_the_clock() {
    let mut chat = asked();
    let (due, own) = (chat.ticket().deadline, chat.ticket().department);
    let other = if own == Department::Union { Department::Finance } else { Department::Union };
    assert_eq!(chat.staff(Act::Transfer(other, because(" "))), Some(Refusal::NoReason));
    assert_eq!(chat.staff(Act::Transfer(own, because("x"))), Some(Refusal::Same));
    chat.staff(Act::Claim(None));
    assert_eq!(chat.staff(Act::Transfer(other, because("归他们管"))), None);
    let ticket = chat.ticket();
    assert_eq!((ticket.department, ticket.deadline, ticket.assignee.as_deref()), (other, due, None));
    assert_eq!(ticket.stage, Stage::Waiting, "nobody there has taken it up");
}

#[test]
fn the_second_return_goes_to_the_duty_lead_who_decides_once() {
    let mut chat = asked();
    let first = chat.ticket().department;
    let second = if first == Department::Union { Department::Finance } else { Department::Union };
    let to = |department| Act::Transfer(department, because("不归我们"));
    assert_eq!(chat.staff(to(second)), None);
    assert_eq!(chat.staff(to(first)), None, "the first return");
    assert_eq!(chat.staff(to(second)), None, "the second return is noted, not done");
    assert_eq!((chat.ticket().department, chat.ticket().for_lead), (first, Some(ForLead::Disputed)));
    assert_eq!(chat.staff(to(second)), Some(Refusal::Disputed));
    assert_eq!(chat.lead(Act::Decide(second, because("按职责是你们的"))), None);
    let ticket = chat.ticket();
    assert_eq!((ticket.department, ticket.for_lead, ticket.is_settled), (second, None, true));
    assert_eq!(chat.staff(to(first)), Some(Refusal::Settled));
    assert_eq!(chat.lead(Act::Decide(first, because("x"))), Some(Refusal::NothingAsked), "once");
}

#[test]
fn more_time_is_asked_for_before_the_deadline_and_the_follower_is_told() {
    let mut chat = asked();
    let due = chat.ticket().deadline;
    assert_eq!(chat.staff(Act::AskExtension(2, because(""))), Some(Refusal::NoReason));
    assert_eq!(chat.staff(Act::AskExtension(99, because("x"))), Some(Refusal::TooMany));
    assert_eq!(chat.staff(Act::AskExtension(2, because("要问区里"))), None);
    assert_eq!(chat.ticket().deadline, due, "asked is not given");
    assert_eq!(chat.staff(Act::AskExtension(1, because("再要"))), Some(Refusal::Same));
    let n_says = chat.says.len();
    assert_eq!(chat.lead(Act::DecideExtension(true, String::new())), None);
    let ticket = chat.ticket();
    assert_eq!(ticket.deadline, HANDBOOK.1.days_later(due, 2));
    assert_eq!((ticket.n_extensions, chat.says.len()), (1, n_says + 1));
    assert!(
        chat.last_said().contains("延期") && chat.last_said().contains("11月27日"),
        "{}",
        chat.last_said()
    );
    chat.after(DAY * 9);
    assert_eq!(chat.lead(Act::AskExtension(1, because("忘了"))), Some(Refusal::TooLate));
}

#[test]
fn a_lead_refuses_more_time_with_a_reason_or_gives_it_at_once() {
    let mut chat = asked();
    let due = chat.ticket().deadline;
    chat.staff(Act::AskExtension(2, because("要问区里")));
    assert_eq!(chat.lead(Act::DecideExtension(false, String::new())), Some(Refusal::NoReason));
    assert_eq!(chat.lead(Act::DecideExtension(false, because("今天能答"))), None);
    assert_eq!((chat.ticket().extension, chat.ticket().deadline), (None, due));
    assert_eq!(chat.lead(Act::DecideExtension(true, String::new())), Some(Refusal::NothingAsked));
    assert_eq!(chat.lead(Act::AskExtension(1, because("等文件"))), None);
    assert!(chat.ticket().deadline.at > due.at && chat.ticket().extension.is_none());
}

#[test]
fn an_answer_can_be_taken_back_until_it_leaves_and_the_ticket_is_as_before() {
    let mut chat = asked();
    chat.settings.undo = Duration::from_secs(10);
    chat.staff(Act::Claim(None));
    let before = chat.ticket();
    assert_eq!(chat.staff(Act::Answer("要的。".into())), None);
    let say = chat.says.last().unwrap().clone();
    assert_eq!(say.when, Ok(chat.now.after(Duration::from_secs(10))), "the courier does not have it yet");
    assert_eq!(chat.ticket().stage, Stage::Answered);
    chat.after(Duration::from_secs(8));
    assert_eq!(chat.staff(Act::TakeBack(say.delivery)), None);
    let ticket = chat.ticket();
    assert_eq!(
        (ticket.stage, ticket.deadline, ticket.owed_since),
        (before.stage, before.deadline, before.owed_since)
    );
    assert_eq!((ticket.answered_at, ticket.first_answered_at), (None, None));
    assert!(matches!(chat.settles.last(), Some((id, Settlement::Withdrawn(_))) if *id == say.delivery));
    assert_eq!(chat.staff(Act::TakeBack(say.delivery)), Some(Refusal::Left), "once");
    assert!(!chat.said("满意").contains("谢谢"), "there is nothing to rate");

    chat.staff(Act::Answer("不要。".into()));
    let second = chat.says.last().unwrap().delivery;
    chat.after(Duration::from_secs(10));
    assert_eq!(chat.staff(Act::TakeBack(second)), Some(Refusal::Left), "it has left");
}

#[test]
fn a_rating_has_five_points_and_a_bad_one_brings_the_ticket_back_for_the_lead() {
    let mut chat = asked();
    chat.staff(Act::Answer("要的。".into()));
    assert!(chat.said("5").contains("非常满意"));
    assert_eq!((chat.ticket().stage, chat.ticket().rating), (Stage::Rated, Some(Rating::BEST)));

    let mut chat = asked();
    chat.staff(Act::Answer("要的。".into()));
    let reply = chat.said("打1分");
    assert!(reply.contains("重新办理"), "{reply}");
    let ticket = chat.ticket();
    assert_eq!((ticket.stage, ticket.for_lead), (Stage::Working, Some(ForLead::BadRating)));
    assert_eq!((ticket.rating, ticket.n_reopened), (Some(Rating::WORST), 1));
    assert!(ticket.deadline.at > chat.now);
    chat.staff(Act::Answer("更正：不要。".into()));
    assert_eq!(chat.ticket().for_lead, None);
}

#[test]
fn a_digit_is_a_rating_only_where_one_was_asked_for() {
    let mut chat = Chat::begin();
    let offer = chat.said("房租能减免吗");
    assert!(offer.contains("2. "));
    assert!(chat.said("2").starts_with('【'), "a choice");
}

#[test]
fn who_writes_within_seven_days_of_closing_has_the_ticket_taken_up_again() {
    let mut chat = asked();
    chat.staff(Act::Close(Some("要护照的。".into())));
    let id = chat.ticket().id;
    chat.after(DAY * 5);
    let reply = chat.said("外星人的护照去哪里办呢");
    assert_eq!((chat.ticket().id, chat.ticket().stage, chat.ticket().n_reopened), (id, Stage::Working, 1));
    assert!(reply.contains("已补充到"), "{reply}");
    assert_eq!(chat.ticket().owed_since, Some(chat.now));

    let mut chat = asked();
    chat.staff(Act::Close(Some("要护照的。".into())));
    let id = chat.ticket().id;
    chat.after(DAY * 8);
    chat.said("外星人的护照去哪里办呢");
    assert_ne!(chat.ticket().id, id, "a new one");
}

#[test]
fn what_the_bot_knows_it_answers_also_after_a_ticket() {
    let mut chat = asked();
    chat.staff(Act::Close(Some("要护照的。".into())));
    chat.after(DAY * 3);
    let reply = chat.said("员工干了半年没签合同，要双倍工资");
    assert!(reply.contains("没签书面劳动合同"), "{reply}");
    assert_eq!(chat.ticket().stage, Stage::Closed);
}

#[test]
fn the_day_after_closing_the_account_asks_how_it_was_or_staff_call() {
    let mut chat = asked();
    chat.staff(Act::Close(Some("要护照的。".into())));
    let at = HANDBOOK.1.next_workday(chat.now);
    assert_eq!(chat.ticket().call_back, CallBack::Planned(at));
    assert_eq!(chat.memory.wakes_at.map(|wakes| wakes <= at), Some(true));
    chat.now = at;
    chat.happens(Event::TimePassed);
    assert_eq!(chat.ticket().call_back, CallBack::Done);
    assert!(
        chat.last_said().contains("回访") && chat.last_said().contains("解决了吗"),
        "{}",
        chat.last_said()
    );
    assert!(chat.said("4").contains("满意"));
    assert_eq!(chat.ticket().rating, Some(Rating::GOOD));

    // A Friday's closing is asked about on Monday, when the window has closed.
    let mut chat = asked();
    chat.after(DAY * 3);
    chat.staff(Act::Close(Some("要护照的。".into())));
    let n_says = chat.says.len();
    chat.now = HANDBOOK.1.next_workday(chat.now);
    chat.happens(Event::TimePassed);
    assert_eq!((chat.ticket().call_back, chat.says.len()), (CallBack::ForStaff, n_says));
    assert_eq!(chat.staff(Act::CallBack(None, " ".into())), Some(Refusal::NoReason));
    assert_eq!(chat.staff(Act::CallBack(Some(Rating::WORST), "没听懂".into())), None);
    assert_eq!((chat.ticket().stage, chat.ticket().for_lead), (Stage::Working, Some(ForLead::BadRating)));
}

#[test]
fn a_note_reaches_no_follower_and_whom_it_calls_follows_the_ticket() {
    let mut chat = asked();
    let n_says = chat.says.len();
    let note = Act::Note("＠李强 这个归你们吗".into(), vec!["李强".into(), "王敏".into()]);
    assert_eq!(chat.staff(note), None);
    let ticket = chat.ticket();
    assert_eq!((chat.says.len(), ticket.stage), (n_says, Stage::Waiting));
    assert_eq!(
        (ticket.watchers.as_slice(), ticket.mentioned.as_slice()),
        (&["李强".to_owned()][..], &["李强".to_owned()][..])
    );
    let act =
        StaffAct { ticket: ticket.id, by: "李强".into(), is_lead: false, seen: 0, act: Act::Claim(None) };
    chat.happens(Event::Staff(act));
    assert!(chat.ticket().mentioned.is_empty(), "who does something has seen it");
    assert_eq!(chat.staff(Act::Note(" ".into(), Vec::new())), Some(Refusal::Empty));
}

#[test]
fn what_is_put_aside_comes_back_with_the_followers_next_word() {
    let mut chat = asked();
    let until = chat.now.after(DAY);
    let due = chat.ticket().deadline;
    assert_eq!(chat.staff(Act::Snooze(Some(chat.now))), Some(Refusal::TooMany), "not into the past");
    assert_eq!(chat.staff(Act::Snooze(Some(chat.now.after(DAY * 31)))), Some(Refusal::TooMany));
    assert_eq!(chat.staff(Act::Snooze(Some(until))), None);
    assert_eq!((chat.ticket().snoozed_until, chat.ticket().deadline), (Some(until), due));
    chat.said("我再补充一点");
    assert_eq!(chat.ticket().snoozed_until, None);
}

#[test]
fn a_call_is_a_ticket_like_any_other_and_what_was_said_on_the_phone_is_written_down() {
    let mut chat = Chat::begin();
    let profile =
        Profile { alias: Some("王女士".into()), phone: Some("13800138000".into()), ..Profile::default() };
    let intake = Intake {
        by: "王敏".into(),
        origin: Origin::Phone,
        profile,
        question: UNKNOWN.into(),
        department: Some(Department::Finance),
        category: None,
        is_confidential: true,
    };
    let empty = Intake { question: " ".into(), ..intake.clone() };
    assert_eq!(chat.happens(Event::Lodged(empty)).refusal, Some(Refusal::Empty));
    assert_eq!(chat.happens(Event::Lodged(intake)).refusal, None);
    let ticket = chat.ticket();
    assert_eq!(
        (ticket.origin, ticket.department, ticket.is_confidential),
        (Origin::Phone, Department::Finance, true)
    );
    assert!(ticket.contact.unwrap().contains("13800138000"));
    assert_eq!(ticket.watchers, ["王敏"]);
    assert_eq!(chat.staff(Act::Answer("要。".into())), Some(Refusal::NoWechat));
    assert_eq!(chat.staff(Act::Told("要护照。".into())), None);
    let ticket = chat.ticket();
    assert_eq!((ticket.stage, ticket.answered_at), (Stage::Answered, Some(chat.now)));
    assert!(chat.says.is_empty(), "nothing is sent");
    assert_eq!(chat.staff(Act::Close(None)), None);
    chat.now = HANDBOOK.1.next_workday(chat.now);
    chat.happens(Event::TimePassed);
    assert_eq!(chat.ticket().call_back, CallBack::ForStaff, "there is no other way to ask");
}

#[test]
fn a_ticket_says_until_when_the_account_may_write_also_after_words_to_the_bot() {
    let mut chat = asked();
    assert_eq!(chat.ticket().window_ends, Some(chat.now.after(HOUR * 48)));
    chat.said("退出");
    chat.after(HOUR * 5);
    chat.said("员工干了半年没签合同，要双倍工资");
    assert_eq!(chat.ticket().window_ends, Some(chat.now.after(HOUR * 48)));
    let changed_at = chat.ticket().changed_at;
    chat.after(HOUR / 2);
    let step = chat.happens(Event::Said("试用期最长几个月".into()));
    assert!(step.changes.is_empty(), "half an hour is not worth a write");
    assert_eq!(chat.ticket().changed_at, changed_at);
}

/// Two followers, whose turns go to and fro as the desk carries them.
struct Two([Chat; 2]);

impl Two {
    fn asked() -> Self {
        let mut both = [asked(), Chat::begin()];
        both[1].n_happened = 1_000;
        both[1].said("外星人开店要不要护照");
        Self(both)
    }

    fn staff(&mut self, at: usize, act: Act) -> Option<Refusal> {
        let ticket = self.0[at].ticket();
        let act =
            StaffAct { ticket: ticket.id, by: "王敏".into(), is_lead: false, seen: ticket.n_lines, act };
        let step = self.0[at].happens(Event::Staff(act));
        self.carry(step.relays);
        step.refusal
    }

    fn carry(&mut self, relays: Vec<Relay>) {
        for relay in relays {
            let to = relay.ticket();
            let at = self.0.iter().position(|chat| chat.memory.ticket(to).is_some()).unwrap();
            let step = self.0[at].happens(Event::Relayed(relay.what));
            self.carry(step.relays);
        }
    }

    fn merged() -> Self {
        let mut two = Self::asked();
        let first = two.0[0].ticket();
        let into = MergeInto { ticket: first.id, follower: FollowerId(1), number: first.number.unwrap() };
        assert_eq!(two.staff(1, Act::Merge(into)), None);
        two
    }
}

#[test]
fn every_asker_of_merged_tickets_gets_the_answer_under_their_own_number() {
    let mut two = Two::merged();
    assert_eq!((two.0[1].ticket().stage, two.0[0].ticket().merged.len()), (Stage::Merged, 1));
    assert_eq!(two.staff(1, Act::Answer("抢答".into())), Some(Refusal::Over), "it waits for the other");
    assert_eq!(two.staff(0, Act::Answer("要护照。".into())), None);
    for chat in &two.0 {
        let said = chat.last_said();
        assert!(said.contains("要护照。"), "{said}");
        assert_eq!(chat.ticket().stage, Stage::Answered);
    }
    assert!(two.0[0].ticket().merged.is_empty());
    assert!(two.0[1].ticket().merged_into.is_some(), "the trace stays");
    two.0[1].said("那签证呢");
    assert_eq!(two.0[1].ticket().stage, Stage::Working, "from now on it goes its own way");
}

#[test]
fn what_the_merged_asker_writes_is_seen_in_the_other_ticket_and_who_leaves_frees_the_rest() {
    let mut two = Two::merged();
    let n_lines = two.0[0].ticket().n_lines;
    let step = two.0[1].happens(Event::Said("是两个外星人".into()));
    two.carry(step.relays);
    assert_eq!(two.0[0].ticket().n_lines, n_lines + 1);
    let relays = erasure(&two.0[0].memory).relays;
    two.carry(relays);
    assert_eq!(two.0[1].ticket().stage, Stage::Working, "nobody waits for ever");
}

#[test]
fn a_merged_answer_is_taken_back_everywhere_and_a_merging_can_be_undone() {
    let mut two = Two::merged();
    two.0.iter_mut().for_each(|chat| chat.settings.undo = Duration::from_secs(10));
    two.staff(0, Act::Answer("要护照。".into()));
    let delivery = two.0[0].says.last().unwrap().delivery;
    assert_eq!(two.staff(0, Act::TakeBack(delivery)), None);
    assert_eq!((two.0[0].ticket().merged.len(), two.0[1].ticket().stage), (1, Stage::Merged));
    for chat in &two.0 {
        assert!(matches!(chat.settles.last(), Some((_, Settlement::Withdrawn(_)))));
    }
    assert_eq!(two.staff(1, Act::Reopen("不是一回事".into())), None);
    assert_eq!((two.0[0].ticket().merged.len(), two.0[1].ticket().stage), (0, Stage::Working));
}

#[test]
fn a_ticket_is_not_merged_into_itself_or_into_what_is_answered() {
    let mut two = Two::asked();
    let own = two.0[1].ticket();
    let into = MergeInto { ticket: own.id, follower: FollowerId(1), number: own.number.unwrap() };
    assert_eq!(two.staff(1, Act::Merge(into)), Some(Refusal::Circle));
    two.staff(0, Act::Answer("要护照。".into()));
    let first = two.0[0].ticket();
    let into = MergeInto { ticket: first.id, follower: FollowerId(1), number: first.number.unwrap() };
    assert_eq!(two.staff(1, Act::Merge(into)), None, "it is not known here that the other is answered");
    assert_eq!(two.0[1].ticket().stage, Stage::Working, "and so it comes back");
}
