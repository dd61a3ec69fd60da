//! Who asks, and what a question says was done or not: 我被辞退 wants another answer than 我要辞退, 签了合同 another than
//! 没签合同. Knows how people put it; which answers there are it learns from the entries' own phrasings.

use regex::RegexSet;
use std::sync::LazyLock;

/// How many matters there are that can be told from two sides.
const N_PAIRS: usize = 5;

/// The two sides of each matter, one after the other.
const SIDES: [&str; 2 * N_PAIRS] = [
    // Somebody has to go: told by the one who goes, or by the one who sends away.
    r"被(?:公司|老板|单位|厂里|店里|他们|领导)?.{0,3}(?:辞退|辞了|辞掉|开除|开了|开掉|解雇|裁|炒|劝退|赶)|(?:公司|老板|单位|厂里|店里|领导)(?:要|想|说要|突然|无故)?(?:把我|辞退我|开除我|裁我|裁掉我|炒我|炒了我|让我走|叫我走|赶我|不要我)",
    r"(?:我|我们|公司|店里|厂里|单位)(?:要|想|打算|准备|可以|能不能|能|可不可以)(?:把.{1,6})?(?:辞退|辞掉|开除|开掉|解雇|裁掉|裁员|炒掉|劝退)|把(?:他|她|伊|人|员工|店员|工人|阿姨|师傅).{0,3}(?:辞|开除|开掉|解雇|裁|炒|劝退)",
    // Somebody leaves: told by the one who leaves, or by the one who is left.
    r"(?:我|本人)(?:自己)?(?:想|要|打算|准备|已经|提了|提出)(?:辞职|离职|走人|不干|不做了)",
    r"(?:员工|店员|工人|他|她|伊|小.|老.|阿姨|师傅|厨师|会计|主管)(?:们)?(?:突然|自己|主动|硬)?(?:想|要|提|说要|提出|闹着)?.{0,2}(?:辞职|离职|走人|不干了|不做了)",
    // Wages do not come: told by the one who waits, or by the one who owes.
    r"(?:公司|老板|单位|厂里|店里|包工头).{0,4}(?:欠|拖|压|扣|不发|不给|没发|少发).{0,3}我.{0,6}(?:工资|工钱|加班费|提成|奖金)",
    r"(?:我|我们|公司|店里|厂里)(?:这个月|暂时|实在|现在)?.{0,3}(?:发不出|发不起|付不出|付不起|晚发|迟发|晚几天发|缓发)",
    // A contract: there is one, or there is none.
    r"(?:签了|签过|签好|签有|有签)(?:书面|劳动|正式|电子)?(?:的)?(?:合同|协议)|(?:合同|协议)(?:也|都|已经|早就)?(?:签了|签过|签好)",
    r"(?:没有?|未|不肯|不愿意?|不|呒没|忘了|忘记|拒)(?:去|给|跟|和|与|同|再|及时)?.{0,3}签(?:订|署)?(?:书面|劳动|正式)?(?:的)?(?:合同|协议)|(?:合同|协议)(?:一直|也|都|还|从来)?(?:没|未|不|呒没|忘)(?:有|了|记)?签",
    // Insurance: paid, or not.
    r"(?:交了|缴了|交过|缴过|上了|买了|参加了|一直在交|一直在缴|都交|都缴)(?:五险|社保|工伤|养老|医保|公积金)|(?:五险|社保|工伤保险|养老|医保|公积金)(?:也|都|已经|一直)(?:交了|缴了|在交|在缴|交着|缴着)",
    r"(?:没有?|未|不|不肯|不愿意?|呒没|忘了|忘记|漏)(?:给|帮|替|去|想)?.{0,4}(?:交|缴|上|买|参加?)(?:过|五险|社保|工伤|养老|医保|公积金)|(?:五险|社保|工伤保险|养老|医保|公积金)(?:一直|也|都|还|从来)?(?:没|未|不|呒没|忘|漏)(?:有|了|记)?(?:给.{0,3})?(?:交|缴|上|买)",
];

static PATTERNS: LazyLock<RegexSet> =
    LazyLock::new(|| RegexSet::new(SIDES).expect("constant patterns, tried by the tests"));

/// So many phrasings of one side, and so many times as many as of the other: the answer is for that side.
const MIN_PHRASINGS: u16 = 2;
const TIMES: u16 = 5;

/// How many texts take each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stance([u16; 2 * N_PAIRS]);

impl Stance {
    /// Of these texts together.
    pub fn of<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let mut stance = Self::default();
        for side in texts.into_iter().flat_map(|text| PATTERNS.matches(text)) {
            stance.0[side] = stance.0[side].saturating_add(1);
        }
        stance
    }

    /// A question takes one side, and this, of an entry's phrasings, is nearly all of the other.
    pub fn is_against(&self, question: &str) -> bool {
        let asked = Self::of([question]);
        let pairs = self.0.as_chunks::<2>().0.iter().zip(asked.0.as_chunks::<2>().0);
        pairs.into_iter().any(|(own, asked)| {
            [(0, 1), (1, 0)].into_iter().any(|(side, other)| {
                let is_of_other = own[other] >= MIN_PHRASINGS.max(own[side].saturating_mul(TIMES));
                asked[side] > 0 && asked[other] == 0 && is_of_other
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_goes_is_told_from_who_sends_away() {
        let employers = Stance::of(["我要辞退一个员工", "想把店员开除要赔吗", "我们能不能裁掉三个人"]);
        for suffered in ["我被辞退了能拿多少钱", "老板要把我开除", "被公司裁了怎么赔"]
        {
            assert!(employers.is_against(suffered), "{suffered}");
        }
        for done in ["我要辞退他", "把他开除要不要赔", "辞退员工要赔多少"] {
            assert!(!employers.is_against(done), "{done}");
        }
        let both = Stance::of(["我要辞退一个员工", "想把店员开除要赔吗", "员工说被辞退了要赔偿"]);
        assert!(!both.is_against("我被辞退了能拿多少钱"));
    }

    #[test]
    fn what_was_done_is_told_from_what_was_not() {
        let unsigned = Stance::of(["没签劳动合同要付双倍工资吗", "合同一直没签怎么办", "忘了跟他签合同"]);
        assert!(unsigned.is_against("签了合同又不来上班怎么办"));
        assert!(!unsigned.is_against("没有签书面合同"));
        assert!(!unsigned.is_against("合同签了没签都不知道，现在没签劳动合同要赔吗"), "both are named");
        let uninsured = Stance::of(["没给员工交社保", "社保一直没缴，出了工伤谁赔"]);
        assert!(uninsured.is_against("交了社保还要公司赔吗") && !uninsured.is_against("社保要交多少"));
    }

    #[test]
    fn an_entry_that_takes_no_side_is_against_nobody() {
        assert!(!Stance::default().is_against("我被辞退了，没签合同，社保也没交"));
    }
}
