//! Transcripts: what is said to a follower, sentence by sentence, on the pure core.

mod flow;
mod tapping;
mod waiting;

use super::*;
use crate::library;
use crate::ticket::{Number, Rating, Stage, Ticket};
use crate::window::Shut;
use std::path::Path;
use std::sync::LazyLock;

static HANDBOOK: LazyLock<(Knowledge, Calendar)> = LazyLock::new(|| {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge"));
    let handbook = library::load(dir, Default::default()).unwrap();
    (handbook.knowledge, handbook.calendar)
});

/// One follower's chat, with the store's part played by the test: numbers, versions, repeats.
struct Chat {
    now: Timestamp,
    settings: Settings,
    memory: Memory,
    n_happened: u128,
    n_tickets: u32,
    says: Vec<Say>,
    settles: Vec<(DeliveryId, Settlement)>,
    rungs: Vec<(DeliveryId, Rung)>,
    n_lines_written: usize,
}

impl Chat {
    fn begin() -> Self {
        Self {
            now: Timestamp::from_local("2026-11-24T10:00:00".parse().unwrap()),
            settings: Settings::default(),
            memory: Memory::default(),
            n_happened: 0,
            n_tickets: 0,
            says: Vec::new(),
            settles: Vec::new(),
            rungs: Vec::new(),
            n_lines_written: 0,
        }
    }

    fn happens(&mut self, event: Event) -> Step {
        self.n_happened += 1;
        let cause = Cause(self.n_happened << 64 | self.n_happened);
        let office =
            Office { knowledge: &HANDBOOK.0, calendar: &HANDBOOK.1, settings: &self.settings, vector: None };
        let happening = Happening { cause, follower: FollowerId(1), event };
        let mut step = step(&office, self.now, &self.memory, &happening);
        for ticket in step.memory.tickets.iter_mut().filter(|ticket| ticket.number.is_none()) {
            self.n_tickets += 1;
            ticket.number = Some(Number::new(self.now.date(), self.n_tickets));
        }
        if step.refusal.is_none() {
            self.memory = step.memory.clone();
            self.says.extend(step.says.iter().cloned());
            self.settles.extend(step.settles.iter().cloned());
            self.rungs.extend(step.rungs.iter().cloned());
            self.n_lines_written += step.changes.iter().map(|change| change.lines.len()).sum::<usize>();
        }
        step
    }

    /// What the follower reads.
    fn reply(&mut self, event: Event) -> String {
        let reply = self.happens(event).reply;
        let number = format!("1124-{:03}", self.n_tickets);
        let reply = reply.map(|text| text.replace(NUMBER, &number)).unwrap_or_default();
        assert!(reply.len() <= crate::knowledge::MAX_REPLY, "{} bytes", reply.len());
        bubble::plain(&reply)
    }

    fn said(&mut self, text: &str) -> String {
        self.reply(Event::Said(text.into()))
    }

    fn staff(&mut self, act: Act) -> Option<Refusal> {
        let ticket = self.ticket();
        let act =
            StaffAct { ticket: ticket.id, by: "王敏".into(), is_lead: false, seen: ticket.n_lines, act };
        self.happens(Event::Staff(act)).refusal
    }

    fn ticket(&self) -> Ticket {
        self.memory.tickets.last().unwrap().clone()
    }

    fn after(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_clear_question_gets_the_vetted_answer() {
    let reply = Chat::begin().said("员工干了半年没签合同，要双倍工资");
    assert!(reply.contains("没签书面劳动合同") && reply.contains("依据"), "{reply}");
}

#[test]
fn an_unclear_one_gets_a_choice_and_a_number_chooses() {
    let mut chat = Chat::begin();
    let offer = chat.said("房租能减免吗");
    assert!(offer.contains("1. ") && offer.contains("2. "), "{offer}");
    let title = offer.lines().find(|line| line.starts_with("2. ")).unwrap()[3..].to_owned();
    assert!(chat.said("2").starts_with(&format!("【{title}】")));
    assert!(chat.said("1").starts_with('【'), "the other numbers stay valid");
}

#[test]
fn a_choice_lapses_after_half_an_hour() {
    let mut chat = Chat::begin();
    chat.said("房租能减免吗");
    chat.after(HOUR / 2);
    assert_eq!(chat.said("2"), phrases::EMPTY);
}

#[test]
fn an_expired_policy_says_so_and_leads_to_what_replaced_it() {
    let mut chat = Chat::begin();
    let reply = chat.said("2020年的稳岗返还50%还能申请吗");
    assert!(reply.contains('⚠') && reply.contains("回复 1 查看"), "{reply}");
    let now = chat.said("1");
    assert!(now.contains("2026") && !now.contains('⚠'), "{now}");
}

#[test]
fn another_regions_figure_is_never_given_as_if_it_applied() {
    let reply = Chat::begin().said("北京的最低工资是多少");
    assert!(reply.contains("北京") && reply.contains("不能套用") && !reply.contains("2740元"), "{reply}");
    let national = Chat::begin().said("杭州员工没签合同要付双倍工资吗");
    assert!(!national.contains("上海规定"), "{national}");
}

#[test]
fn what_nobody_knows_becomes_a_ticket_with_number_and_deadline_at_once() {
    let mut chat = Chat::begin();
    let reply = chat.said("外星人来开公司要不要护照");
    assert!(reply.contains("1124-001") && reply.contains("11月25日 10:00前"), "{reply}");
    assert!(reply.contains("可以不填"), "{reply}");
    assert_eq!(chat.ticket().stage, Stage::Waiting);
    assert_eq!(&*chat.ticket().subject, "外星人来开公司要不要护照");
}

#[test]
fn danger_to_life_comes_before_everything_else() {
    let mut chat = Chat::begin();
    let first = chat.said("我不想活了");
    assert!(first.contains("110") || first.contains("120"), "{first}");
    assert!(!chat.said("工伤怎么赔").contains("120"));
}

#[test]
fn with_staff_everything_is_appended_with_a_receipt_now_and_then() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    let n = chat.ticket().n_lines;
    assert_eq!(chat.said("补充一下，他从火星来"), "", "the opening was the receipt");
    chat.after(Duration::from_secs(601));
    let picture = Attachment { kind: "图片", detail: String::new(), media: Some("m1".into()) };
    assert!(chat.reply(Event::Sent(picture)).contains("已补充到 1124-001"));
    assert_eq!(chat.said("还有一句"), "");
    assert_eq!(chat.ticket().n_lines, n + 3);
}

#[test]
fn contact_data_is_asked_for_once_noted_and_not_asked_for_again() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    assert!(chat.said("星际贸易公司 张三 13800000000 下午方便").contains("联系方式已记在 1124-001"));
    assert!(chat.ticket().contact.unwrap().contains("13800000000"));
    chat.said("退出");
    let second = chat.said("月球背面的石头好不好吃呀");
    assert!(second.contains("1124-002") && !second.contains("可以不填"), "{second}");
    assert!(chat.ticket().contact.is_some());
}

#[test]
fn twice_useless_brings_a_person() {
    let mut chat = Chat::begin();
    chat.said("试用期最长几个月");
    let first = chat.said("没用");
    assert!(!first.contains("编号"), "{first}");
    let second = chat.said("不对");
    assert!(second.contains("编号：1124-001"), "{second}");
    assert_eq!(&*chat.ticket().subject, "试用期最长几个月");
}

#[test]
fn commands_work_in_every_state() {
    let mut chat = Chat::begin();
    assert!(chat.said("进度").contains("没有咨询单"));
    assert!(chat.said("人工").contains("请接着写下您的问题"));
    assert!(chat.said("进度").contains("1124-001 待处理"));
    assert!(chat.said("进度 1124-001").contains("咨询单 1124-001"));
    assert_eq!(chat.said("进度 1124-999"), phrases::NO_SUCH_TICKET);
    assert!(chat.said("菜单").contains("劳资纠纷"));
    assert!(chat.said("退出").contains("仍在办理"));
    assert_eq!(chat.memory.state, State::Answering);
    assert!(chat.said("试用期最长几个月").starts_with('【'));
}

#[test]
fn a_sixth_open_ticket_is_not_opened() {
    let mut chat = Chat::begin();
    for n in 0..5 {
        chat.after(HOUR / 10);
        chat.said(&format!("火星第{n}号基地的营业执照贴哪面墙"));
        chat.said("退出");
    }
    let reply = chat.said("木星的营业执照贴哪面墙");
    assert!(reply.contains("已有5张") && reply.contains("1124-005"), "{reply}");
    assert_eq!(chat.memory.tickets.len(), 5);
}

#[test]
fn an_answer_is_sent_can_be_rated_and_a_follow_up_reopens_it() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    assert_eq!(chat.staff(Act::Answer("要的，请到出入境窗口。".into())), None);
    assert!(chat.says[0].text.contains("【1124-001 答复】\n要的"));
    assert_eq!(chat.ticket().stage, Stage::Answered);
    chat.after(HOUR);
    assert!(chat.said("那签证呢").contains("已补充到 1124-001"));
    assert_eq!(chat.ticket().stage, Stage::Working);
    chat.staff(Act::Answer("也要。".into()));
    assert!(chat.said("满意").contains("谢谢"));
    assert_eq!((chat.ticket().stage, chat.ticket().rating), (Stage::Rated, Some(Rating::GOOD)));
}

#[test]
fn a_bad_rating_sends_the_ticket_back() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::Answer("不知道。".into()));
    assert!(chat.said("不满意").contains("退回重新办理"));
    assert_eq!(chat.ticket().stage, Stage::Working);
}

#[test]
fn a_question_back_waits_for_the_follower_and_their_word_sets_it_going_again() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::AskBack("请问从哪个星球来？".into()));
    assert_eq!(chat.ticket().stage, Stage::NeedsInfo);
    chat.said("火星");
    assert_eq!(chat.ticket().stage, Stage::Working);
}

#[test]
fn a_colleague_who_has_not_seen_everything_is_refused_and_nothing_happens() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    let seen = chat.ticket().n_lines;
    chat.said("我改主意了");
    let act = StaffAct {
        ticket: chat.ticket().id,
        by: "李强".into(),
        is_lead: false,
        seen,
        act: Act::Answer("要。".into()),
    };
    assert_eq!(chat.happens(Event::Staff(act)).refusal, Some(Refusal::Newer));
    assert!(chat.says.is_empty() && chat.ticket().stage == Stage::Waiting);
}

#[test]
fn nobody_is_closed_in_silence_and_an_answer_must_fit() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    assert_eq!(chat.staff(Act::Close(None)), Some(Refusal::Empty));
    assert_eq!(chat.staff(Act::Answer("  \n ".into())), Some(Refusal::Empty));
    assert!(
        matches!(chat.staff(Act::Answer("长".repeat(2_000))), Some(Refusal::TooLong(room)) if room > 1_800)
    );
    assert_eq!(chat.staff(Act::Close(Some("请到窗口办理。".into()))), None);
    assert_eq!(chat.staff(Act::Answer("再答".into())), Some(Refusal::Over));
}

#[test]
fn an_answered_ticket_closes_after_seven_days_and_the_rating_lapses_after_two() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.staff(Act::Answer("要。".into()));
    assert!(matches!(chat.memory.state, State::Rating { .. }));
    let first = chat.memory.wakes_at.unwrap();
    assert_eq!(first.since(chat.now), 48 * HOUR);
    chat.now = first;
    chat.happens(Event::TimePassed);
    assert_eq!((&chat.memory.state, chat.ticket().stage), (&State::Answering, Stage::Answered));
    chat.now = chat.memory.wakes_at.unwrap();
    chat.happens(Event::TimePassed);
    assert_eq!((chat.ticket().stage, chat.memory.wakes_at), (Stage::Closed, None));
}

#[test]
fn a_flood_is_slowed_once_politely_then_silently_and_ends_with_the_minute() {
    let mut chat = Chat::begin();
    for _ in 0..20 {
        assert!(!chat.said("你好").is_empty());
    }
    assert_eq!(chat.said("你好"), phrases::TOO_FAST);
    assert_eq!(chat.said("你好"), "");
    assert!(chat.said("我不想活了").contains("120"), "danger to life is answered in a flood, too");
    chat.after(Duration::from_secs(61));
    assert!(!chat.said("你好").is_empty());
    chat.now = Timestamp(chat.now.0 - 3_600_000);
    assert!(!chat.said("你好").is_empty(), "a clock set back mutes nobody");
}

#[test]
fn what_wechat_cannot_show_is_no_question() {
    let mut chat = Chat::begin();
    assert_eq!(chat.reply(Event::Unsupported), phrases::UNSUPPORTED);
    assert_eq!(chat.said("？？"), chat.said("？？"));
    assert!(chat.memory.tickets.is_empty());
}

#[test]
fn the_placeholder_of_numbers_cannot_be_typed() {
    let mut chat = Chat::begin();
    chat.said(&format!("外星人{NUMBER}护照在哪个星系办"));
    assert!(!chat.ticket().subject.contains(NUMBER));
}

#[test]
fn an_answer_lost_in_a_crash_is_told_again_and_nothing_happens_twice() {
    let mut chat = Chat::begin();
    let question = Event::Said("杭州员工没签合同要付双倍工资吗".into());
    let reply = chat.reply(question.clone());
    chat.said("外星人来开公司要不要护照");
    let stored = postcard::to_stdvec(&chat.memory).unwrap();
    chat.memory = Memory { tickets: chat.memory.tickets.clone(), ..postcard::from_bytes(&stored).unwrap() };
    let before = chat.memory.clone();
    assert_eq!(chat.memory.replied(Cause(1 << 64 | 1)), None, "its text is gone");
    chat.n_happened = 0;
    assert_eq!(chat.reply(question), reply);
    assert_eq!((&chat.memory.state, chat.ticket().n_lines), (&before.state, before.tickets[0].n_lines));
}

#[test]
fn a_bare_call_for_a_person_gets_its_subject_and_department_with_the_next_words() {
    let mut chat = Chat::begin();
    chat.said("人工");
    assert_eq!(chat.ticket().department, crate::knowledge::Department::Desk);
    chat.said("员工工伤了公司没交社保怎么赔");
    assert_eq!(&*chat.ticket().subject, "员工工伤了公司没交社保怎么赔");
    assert_eq!(chat.ticket().department, crate::knowledge::Department::Union);
}

#[test]
fn noise_decides_no_department_and_what_happened_is_nobodys_words() {
    let mut chat = Chat::begin();
    chat.reply(Event::Followed { scene: None });
    let step = chat.happens(Event::Said("外星人来开公司要不要护照".into()));
    assert_eq!(chat.ticket().department, crate::knowledge::Department::Desk);
    assert_eq!(step.changes[0].lines[0].author, crate::ticket::Author::System);
}

#[test]
fn memory_is_bounded_whatever_is_said() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    for n in 0..700 {
        chat.after(Duration::from_secs(5));
        chat.said(&format!("{n}{}", "很长的话".repeat(400)));
    }
    let bytes = postcard::to_stdvec(&chat.memory).unwrap().len();
    assert!(bytes < 40_000, "{bytes}");
    assert_eq!(chat.ticket().n_lines, crate::ticket::MAX_LINES);
    assert!(chat.said("还有").contains("已经记满"), "the follower is told, every time");
    assert!(chat.said("还有").contains("已经记满"));
    assert_eq!(chat.staff(Act::Answer("都看到了。".into())), None, "a full ticket can still be answered");
    assert_eq!(chat.staff(Act::Close(None)), None, "and closed");
    let urgent = chat.said("我不想活了");
    assert!(urgent.contains("110") || urgent.contains("120"), "{urgent}");
}

#[test]
fn danger_is_noted_in_a_ticket_that_somebody_reads_and_takes_a_closed_one_up_again() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    chat.said("我不想活了");
    let n_lines = chat.ticket().n_lines;
    assert!(n_lines >= 2, "{n_lines}");
    assert_eq!(chat.staff(Act::Close(Some("已电话联系，人平安。".into()))), None);
    let closed = chat.ticket();
    assert_eq!(chat.memory.held(), Some(closed.id), "else this shows nothing");
    assert!(chat.said("我不想活了").contains("120"));
    let again = chat.ticket();
    assert_eq!((again.id, again.n_lines, again.stage), (closed.id, closed.n_lines + 1, Stage::Working));
}

#[test]
fn another_place_is_remembered_from_the_question_to_the_choice() {
    for question in ["杭州小时工工资有什么规定", "杭州小時工工資有什麼規定"] {
        let mut chat = Chat::begin();
        let first = chat.said(question);
        let shown = if first.starts_with('【') { first } else { chat.said("1") };
        assert!(shown.starts_with('【') && !shown.contains("上海规定"), "{question}: {shown}");
    }
    let told = Chat::begin().said("廣州經濟補償封頂是多少");
    assert!(!told.contains("37731"), "{told}");
}

#[test]
fn a_look_at_the_menu_takes_nobody_away_from_staff() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    let id = chat.ticket().id;
    chat.reply(Event::Clicked("labour".into()));
    assert!(chat.said("3").starts_with('【'), "a number chooses from the list");
    let before = chat.ticket().n_lines;
    chat.said("我是从火星来的");
    assert_eq!((chat.ticket().n_lines, chat.memory.held()), (before + 1, Some(id)));
    chat.after(HOUR);
    chat.happens(Event::TimePassed);
    assert_eq!(chat.memory.state, State::WithStaff(id), "the choice lapses, the ticket does not");
}

#[test]
fn a_question_of_the_office_takes_the_next_words_and_a_rating_goes_to_the_answer() {
    let mut chat = Chat::begin();
    chat.said("外星人来开公司要不要护照");
    let first = chat.ticket();
    chat.said("退出");
    chat.said("人工");
    let second = chat.ticket();
    assert_ne!(first.id, second.id);
    let ask = Act::AskBack("从哪颗星来？".into());
    let act =
        StaffAct { ticket: first.id, by: "王敏".into(), is_lead: false, seen: first.n_lines, act: ask };
    chat.happens(Event::Staff(act));
    chat.said("火星");
    assert_eq!(chat.memory.ticket(first.id).unwrap().stage, Stage::Working);
    let n_lines = chat.memory.ticket(first.id).unwrap().n_lines;
    chat.memory.state = State::WithStaff(second.id);
    let answer = Act::Answer("要护照。".into());
    let act = StaffAct { ticket: first.id, by: "王敏".into(), is_lead: false, seen: n_lines, act: answer };
    chat.happens(Event::Staff(act));
    chat.reply(Event::Clicked("labour".into()));
    chat.said("满意");
    assert_eq!(chat.memory.ticket(first.id).unwrap().rating, Some(Rating::GOOD));
    assert_eq!(chat.memory.held(), Some(second.id), "they stay with what they were writing about");
}

#[test]
fn the_menu_lists_a_category_and_a_number_chooses() {
    let mut chat = Chat::begin();
    let list = chat.reply(Event::Clicked("labour".into()));
    assert!(list.contains("劳资纠纷") && list.contains("1. "), "{list}");
    assert!(chat.said("3").starts_with('【'));
    assert!(chat.reply(Event::Clicked("MY_TICKETS".into())).contains("没有咨询单"));
    assert!(chat.reply(Event::Clicked("HUMAN".into())).contains("编号"));
    assert!(chat.reply(Event::Clicked("no such key".into())).contains("可以回答"));
}
