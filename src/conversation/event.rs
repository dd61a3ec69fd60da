//! What happens to a conversation: what followers and staff do, what the courier and the clock bring, and why an act of
//! staff's is not done. Shapes only.

use super::ladder::{NoticeFate, Rung};
use super::memory::Later;
use super::merge::Relayed;
use super::{Cause, Text};
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use crate::ticket::{
    DeliveryId, Departments, Enclosure, FollowerId, Number, Origin, Profile, Rating, TicketId,
};
use crate::window::Shut;

/// What a follower, a member of staff, the courier or the clock did.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Wrote a text.
    Said(String),
    /// Tapped words of ours in the chat, which then stand there as theirs.
    Tapped {
        /// The words.
        says: String,
        /// What was put beside them.
        id: String,
    },
    /// Sent something that is no text; the sentence describes it for staff.
    Sent(Attachment),
    /// Sent what WeChat cannot show us.
    Unsupported,
    /// Began to follow, perhaps through a QR code with a scene.
    Followed {
        /// The scene.
        scene: Option<String>,
    },
    /// Scanned a QR code with this scene; followed before.
    Scanned(String),
    /// Stopped following, or wants to be forgotten.
    Left,
    /// Pressed a button of the account's menu.
    Clicked(String),
    /// A member of staff did something to a ticket.
    Staff(StaffAct),
    /// Somebody called or came by, and staff wrote it down.
    Lodged(Intake),
    /// Something that happened to another follower's ticket concerns one of this one's.
    Relayed(Relayed),
    /// WeChat took a message.
    Delivered(DeliveryId),
    /// WeChat will not take a message now, or ever.
    Undeliverable {
        /// Which.
        delivery: DeliveryId,
        /// The ticket it belongs to.
        ticket: TicketId,
        /// Its text.
        text: Text,
        /// Why, as a sentence for the console.
        why: String,
        /// Whether it may go later.
        later: Later,
        /// WeChat's own word about the window, where it is the reason.
        shut: Option<Shut>,
        /// When it was tried.
        tried_at: Timestamp,
        /// What was tried besides, and how it went.
        rungs: Vec<Rung>,
    },
    /// Allowed (or no longer allows) notices by these templates.
    Consented(Vec<(String, bool)>),
    /// What became of notices WeChat had taken.
    Noticed(Vec<NoticeFate>),
    /// The time noted in the memory has come.
    TimePassed,
}

/// Something sent that is no text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its kind in Chinese: 图片, 语音, 位置 …
    pub kind: &'static str,
    /// What staff see of it.
    pub detail: String,
    /// WeChat's name for the file, where there is one to be fetched.
    pub media: Option<String>,
}

/// What a member of staff does to a ticket.
#[derive(Clone, Debug, PartialEq)]
pub struct StaffAct {
    /// Which.
    pub ticket: TicketId,
    /// Who.
    pub by: String,
    /// They decide for others (负责人, 管理员).
    pub is_lead: bool,
    /// How many lines they had seen.
    pub seen: u32,
    /// What.
    pub act: Act,
}

/// The kinds of [`StaffAct`].
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Takes it up, from whom it was seen to be with.
    Claim(Option<String>),
    /// Gives it to somebody, or to nobody.
    Assign(Option<String>),
    /// Hands it to another department (转办), for this reason.
    Transfer(Department, String),
    /// The duty lead decides who answers for it.
    Decide(Department, String),
    /// Who assists (协办).
    Share(Departments),
    /// Answers.
    Answer(String),
    /// Asks the follower something.
    AskBack(String),
    /// Sends a file, which is among the ticket's files already.
    Enclose(Enclosure),
    /// Closes, with a last word where there is one.
    Close(Option<String>),
    /// Notes what the asker was told by telephone or at the counter.
    Told(String),
    /// Writes to colleagues; those named are called.
    Note(String, Vec<String>),
    /// Takes back an answer that has not left yet, by one of its messages.
    TakeBack(DeliveryId),
    /// Puts it aside until then; `None`: back among what is to be done.
    Snooze(Option<Timestamp>),
    /// Asks for so many working days more (延期).
    AskExtension(u8, String),
    /// A lead gives or refuses them.
    DecideExtension(bool, String),
    /// The same question as another ticket's.
    Merge(MergeInto),
    /// Takes a closed ticket up again.
    Reopen(String),
    /// Notes that the asker was called after closing (回访), and how content they were.
    CallBack(Option<Rating>, String),
    /// Sorts it by these labels.
    Label(Vec<String>),
    /// Follows it, or no longer.
    Watch(bool),
    /// Only for those it is given to, or no longer.
    Confide(bool),
    /// Corrects what it is about.
    Refile(Category),
    /// Writes down who asks.
    Describe(Profile),
}

impl Act {
    /// What the audit trail calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Claim(_) => "领取",
            Self::Assign(_) => "指派",
            Self::Transfer(..) => "转办",
            Self::Decide(..) => "裁定承办部门",
            Self::Share(_) => "协办",
            Self::Answer(_) => "答复",
            Self::AskBack(_) => "请用户补充",
            Self::Enclose(_) => "发文件",
            Self::Close(_) => "办结",
            Self::Told(_) => "电话或当面答复",
            Self::Note(..) => "内部备注",
            Self::TakeBack(_) => "撤回答复",
            Self::Snooze(_) => "挂起",
            Self::AskExtension(..) => "申请延期",
            Self::DecideExtension(true, _) => "同意延期",
            Self::DecideExtension(false, _) => "不同意延期",
            Self::Merge(_) => "并单",
            Self::Reopen(_) => "重新办理",
            Self::CallBack(..) => "回访",
            Self::Label(_) => "改标签",
            Self::Watch(true) => "关注",
            Self::Watch(false) => "取消关注",
            Self::Confide(true) => "设为保密",
            Self::Confide(false) => "取消保密",
            Self::Refile(_) => "改类别",
            Self::Describe(_) => "登记用户信息",
        }
    }
}

/// The ticket that another one is merged into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeInto {
    /// Which.
    pub ticket: TicketId,
    /// Whose.
    pub follower: FollowerId,
    /// Its number.
    pub number: Number,
}

/// A question that came by telephone or at the counter.
#[derive(Clone, Debug, PartialEq)]
pub struct Intake {
    /// Who wrote it down.
    pub by: String,
    /// How it came.
    pub origin: Origin,
    /// Who asks.
    pub profile: Profile,
    /// What.
    pub question: String,
    /// Who should answer; `None`: as the knowledge files it.
    pub department: Option<Department>,
    /// What it is about; `None`: as the knowledge files it.
    pub category: Option<Category>,
    /// Only for those it is given to.
    pub is_confidential: bool,
}

/// One happening, told once or twice.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// What makes it unique.
    pub cause: Cause,
    /// Whom it concerns.
    pub follower: FollowerId,
    /// What.
    pub event: Event,
}

/// Why a staff act was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ticket has lines the writer has not seen.
    Newer,
    /// The ticket is closed.
    Over,
    /// The ticket is not (or no longer) at hand.
    Gone,
    /// There is nothing to send.
    Empty,
    /// The text is too long; how many bytes may it have.
    TooLong(usize),
    /// Too many messages wait for the follower's next word already.
    TooManyWait,
    /// There is no page from which the follower could fetch a file.
    NoPage,
    /// Who asked is not in WeChat.
    NoWechat,
    /// Somebody else has taken it up meanwhile.
    Taken,
    /// It is that already: that department's, that person's.
    Same,
    /// A reason is needed.
    NoReason,
    /// The duty lead has decided who answers.
    Settled,
    /// It waits for the duty lead, who alone may move it.
    Disputed,
    /// The deadline is over: more time has to be asked for before.
    TooLate,
    /// Nothing is waiting to be decided.
    NothingAsked,
    /// The message has left, or was taken back before.
    Left,
    /// So much cannot be: labels, people, tickets, days.
    TooMany,
    /// A ticket cannot be merged into itself, or into one that is itself merged.
    Circle,
    /// The ticket is not closed.
    NotOver,
}
