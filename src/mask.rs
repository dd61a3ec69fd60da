//! Personal numbers in free text made unreadable: telephones, identity cards, bank cards. Knows how such numbers are made
//! and written in mainland China; not where a text is shown. Company codes, amounts, dates, ticket and document numbers stay.
//!
//! Of a telephone the first three and last four digits stay (of a landline the area code, of a local number the last
//! four alone: three more would leave one hidden). Of an identity card the first three and last two: the last four with
//! a name are enough to find somebody, and the date of birth is hidden whole.

use std::borrow::Cow;
use std::ops::Range;

/// The text with every personal number in it made unreadable; sign for sign as long as before.
pub fn mask(text: &str) -> Cow<'_, str> {
    let hidden = hidden(text);
    if hidden.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = 0;
    for digit in hidden {
        out.push_str(&text[rest..digit.start]);
        out.push('*');
        rest = digit.end;
    }
    out.push_str(&text[rest..]);
    Cow::Owned(out)
}

/// Whether a personal number stands in the text.
pub fn found(text: &str) -> bool {
    !hidden(text).is_empty()
}

/// Fewer digits than this are no personal number.
const MIN_DIGITS: usize = 8;
/// No number has more digits (bank cards of 19).
const MAX_DIGITS: usize = 19;
/// Between two parts of one number stand no more signs than this: `138 - 0013`.
const MAX_GAP: usize = 3;
/// A word that announces a telephone stands within so many signs before it.
const CUE_WITHIN: usize = 14;

const CUES: [&str; 12] =
    ["电话", "手机", "联系", "致电", "座机", "固话", "拨打", "来电", "热线", "传真", "回电", "打给"];
/// What is counted is no telephone.
const UNITS: [&str; 9] = ["元", "万", "亿", "块", "%", "平方", "平米", "股", "份"];

/// Digits that stand together.
struct Group {
    /// Among all digits of the text.
    digits: Range<usize>,
    /// Where they stand in the text, in bytes.
    at: Range<usize>,
    /// Nothing but what may part one number stands between the group before and this.
    linked: bool,
}

/// Every digit of a text, and how they stand together.
struct Figures<'t> {
    text: &'t str,
    values: Vec<u8>,
    places: Vec<Range<usize>>,
    groups: Vec<Group>,
}

/// What a number is, as far as it matters for hiding it: how many digits at its head and tail stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    head: usize,
    tail: usize,
}

/// The places of digits to hide, in order.
fn hidden(text: &str) -> Vec<Range<usize>> {
    let figures = Figures::of(text);
    let mut hidden = Vec::new();
    if figures.values.len() < MIN_DIGITS {
        return hidden;
    }
    let mut first = 0;
    while first < figures.groups.len() {
        match figures.number_at(first) {
            Some((after, kept)) => {
                let digits = figures.digits(first, after);
                let last = digits.end.saturating_sub(kept.tail);
                hidden.extend(figures.places[(digits.start + kept.head).min(last)..last].iter().cloned());
                // The check digit X of an identity card stands at its tail, which stays.
                first = after;
            }
            None => first += 1,
        }
    }
    hidden
}

/// A digit, narrow or full-width.
fn digit(c: char) -> Option<u8> {
    let value = match c {
        '0'..='9' => u32::from(c) - u32::from('0'),
        '０'..='９' => u32::from(c) - u32::from('０'),
        _ => return None,
    };
    u8::try_from(value).ok()
}

/// What people put between the parts of one number.
fn parts_a_number(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\u{a0}' | '\u{3000}' | '\u{2002}'..='\u{200b}' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}'
            | '－' | '_' | '.' | '·' | ')' | '）'
    )
}

impl<'t> Figures<'t> {
    fn of(text: &'t str) -> Self {
        let mut figures = Self { text, values: Vec::new(), places: Vec::new(), groups: Vec::new() };
        // Signs since the last digit, as long as they may stand inside a number.
        let mut gap: Option<usize> = None;
        for (at, c) in text.char_indices() {
            let Some(value) = digit(c) else {
                gap = gap.filter(|n| *n < MAX_GAP && parts_a_number(c)).map(|n| n + 1);
                continue;
            };
            let end = at + c.len_utf8();
            let n = figures.values.len();
            figures.values.push(value);
            figures.places.push(at..end);
            match (gap, figures.groups.last_mut()) {
                (Some(0), Some(group)) => (group.digits.end, group.at.end) = (n + 1, end),
                _ => figures.groups.push(Group { digits: n..n + 1, at: at..end, linked: gap.is_some() }),
            }
            gap = Some(0);
        }
        figures
    }

    /// The digits of the groups from `first` to before `after`.
    fn digits(&self, first: usize, after: usize) -> Range<usize> {
        self.groups[first].digits.start..self.groups[after - 1].digits.end
    }

    fn before(&self, group: usize) -> Option<char> {
        self.text[..self.groups[group].at.start].chars().next_back()
    }

    fn after(&self, group: usize) -> &'t str {
        &self.text[self.groups[group].at.end..]
    }

    /// The number that begins with this group: the group behind it, and what of it stays.
    fn number_at(&self, first: usize) -> Option<(usize, Kept)> {
        let mut sizes: Vec<usize> = Vec::with_capacity(MAX_DIGITS);
        let mut best = None;
        for (n, group) in self.groups[first..].iter().enumerate() {
            if n > 0 && !group.linked {
                break;
            }
            let total = group.digits.end - self.groups[first].digits.start;
            if total > MAX_DIGITS {
                break;
            }
            sizes.push(group.digits.len());
            let kept = (total >= MIN_DIGITS).then(|| self.kind(first, first + n + 1, &sizes)).flatten();
            best = kept.map(|kept| (first + n + 1, kept)).or(best);
        }
        best
    }

    fn kind(&self, first: usize, after: usize, sizes: &[usize]) -> Option<Kept> {
        // A part of what is hidden already.
        if self.before(first) == Some('*') || self.after(after - 1).starts_with('*') {
            return None;
        }
        let digits = &self.values[self.digits(first, after)];
        let alone =
            || !self.before(first).is_some_and(is_letter) && !starts_with_letter(self.after(after - 1));
        let kept = mobile(digits, sizes)
            .or_else(|| landline(digits, sizes))
            .or_else(|| self.identity(first, after, sizes))
            .or_else(|| (bank_card(digits, sizes) && alone()).then_some(Kept { head: 3, tail: 4 }))
            .or_else(|| self.local(first, after, sizes));
        // 1.5 and 0.12 are figures with a point; a number is parted by points twice at least.
        kept.filter(|_| sizes.len() > 2 || !self.has_point(first, after))
    }

    fn has_point(&self, first: usize, after: usize) -> bool {
        self.text[self.groups[first].at.start..self.groups[after - 1].at.end].contains('.')
    }

    /// An identity card of 18 signs or of 15 digits.
    fn identity(&self, first: usize, after: usize, sizes: &[usize]) -> Option<Kept> {
        let digits = &self.values[self.digits(first, after)];
        let behind = self.after(after - 1);
        let x = behind.chars().next().filter(|c| matches!(c, 'X' | 'x' | 'Ｘ' | 'ｘ'));
        let rest = x.map_or(behind, |x| &behind[x.len_utf8()..]);
        if self.before(first).is_some_and(is_letter)
            || starts_with_letter(rest)
            || rest.chars().next().is_some_and(|c| x.is_some() && digit(c).is_some())
        {
            return None;
        }
        let is_one = match (digits.len(), x) {
            (15, None) => {
                sizes.len() == 1 && is_province(digits) && is_date(1900 + two(&digits[6..]), &digits[8..])
            }
            (18, None) => is_identity(&digits[..17], u32::from(digits[17]), sizes.len() == 1),
            (17, Some(_)) => is_identity(digits, 10, sizes.len() == 1),
            _ => false,
        };
        // The X is a sign of the tail, too.
        is_one.then_some(Kept { head: 3, tail: if x.is_some() { 1 } else { 2 } })
    }

    /// Eight digits are a telephone of this city only where somebody says so.
    fn local(&self, first: usize, after: usize, sizes: &[usize]) -> Option<Kept> {
        let digits = &self.values[self.digits(first, after)];
        let behind = self.after(after - 1);
        let shape = matches!(sizes, [8] | [4, 4]) && digits[0] >= 2;
        let is_day = digits[0] == 2 && digits[1] == 0 && is_date(four(digits), &digits[4..]);
        let is_other = is_day
            || UNITS.iter().any(|unit| behind.trim_start().starts_with(unit))
            || self.before(first).is_some_and(is_letter)
            || starts_with_letter(behind)
            || (behind.starts_with(['.', ',', '，'])
                && behind.chars().nth(1).is_some_and(|c| digit(c).is_some()));
        (shape && !is_other && self.is_announced(first)).then_some(Kept { head: 0, tail: 4 })
    }

    /// A telephone is spoken of shortly before this group.
    fn is_announced(&self, group: usize) -> bool {
        let before = &self.text[..self.groups[group].at.start];
        let near = before.char_indices().rev().take(CUE_WITHIN * 3);
        let near = near.take_while(|(_, c)| !matches!(c, '。' | '！' | '？' | '；' | '\n'));
        // Another number in between, hidden or not, takes no room.
        let counts = |c: char| digit(c).is_none() && c != '*' && !parts_a_number(c);
        let mut left = CUE_WITHIN;
        let near = near.take_while(|(_, c)| {
            left = left.saturating_sub(usize::from(counts(*c)));
            left > 0
        });
        let from = near.last().map_or(before.len(), |(at, _)| at);
        let near = &before[from..];
        CUES.iter().any(|cue| near.contains(cue)) || near.to_ascii_lowercase().contains("tel")
    }
}

fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, 'Ａ'..='Ｚ' | 'ａ'..='ｚ')
}

fn starts_with_letter(text: &str) -> bool {
    text.chars().next().is_some_and(is_letter)
}

/// A mobile number, also behind +86, 0086 or 0 without a space.
fn mobile(digits: &[u8], sizes: &[usize]) -> Option<Kept> {
    let prefix = match digits {
        [0, 0, 8, 6, rest @ ..] if rest.len() == 11 => 4,
        [8, 6, rest @ ..] if rest.len() == 11 => 2,
        [0, rest @ ..] if rest.len() == 11 => 1,
        _ => 0,
    };
    let number = &digits[prefix..];
    let is_one = matches!(number, [1, 3..=9, ..]) && number.len() == 11;
    // With a prefix in a group of its own the number begins at the next group.
    let first = sizes[0].checked_sub(prefix).filter(|rest| *rest > 0)?;
    let shape = [&[first], &sizes[1..]].concat();
    let is_written_so = match shape.as_slice() {
        [11] | [3, 4, 4] | [3, 8] | [3, 3, 5] | [7, 4] | [5, 6] | [4, 7] => true,
        // 1998-2020 150 is a span of years with something behind it.
        [4, 4, 3] => number[1] != 9,
        parts => parts.len() == 11,
    };
    (is_one && is_written_so).then_some(Kept { head: prefix + 3, tail: 4 })
}

/// A landline with its area code.
fn landline(digits: &[u8], sizes: &[usize]) -> Option<Kept> {
    let area = match digits {
        [0, 1, 0, ..] | [0, 2, ..] => 3,
        [0, 3..=9, 1..=9, ..] | [0, 3..=9, 0, 1..=9, ..] => 4,
        _ => return None,
    };
    let number = digits.get(area..)?;
    let fits = number.len() == 8 || (area == 4 && number.len() == 7);
    let is_written_so = match sizes {
        [_] => true,
        [code, rest @ ..] => *code == area && matches!(rest, [7 | 8] | [4, 4]),
        [] => false,
    };
    // A day and a ticket's number (0907-007 …) begin like an area code: what follows begins with 0.
    (fits && is_written_so && number[0] >= 2).then_some(Kept { head: area, tail: 4 })
}

/// Sixteen to nineteen digits in the order banks print them, with a check digit that fits (Luhn).
fn bank_card(digits: &[u8], sizes: &[usize]) -> bool {
    let is_written_so = matches!(sizes, [16..=19] | [4, 4, 4, 4] | [4, 4, 4, 4, 1..=3] | [6, 10..=13]);
    if !is_written_so || !(16..=19).contains(&digits.len()) || digits[0] < 3 {
        return false;
    }
    if digits.len() == 18 && is_company(&digits[..17], u32::from(digits[17])) {
        return false;
    }
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, digit)| {
            let value = u32::from(*digit) << (n % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Seventeen digits and their check sign: the date of birth is one or the check fits, and it is no company's code.
fn is_identity(body: &[u8], check: u32, together: bool) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    const CHECKS: [u32; 11] = [1, 0, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let fits = CHECKS[(sum % 11) as usize] == check;
    let year = four(&body[6..]);
    let born = (1900..2100).contains(&year) && is_date(year, &body[10..]);
    if !together || (fits && born) {
        return fits && born && is_province(body);
    }
    (fits || born) && is_province(body) && !is_company(body, check)
}

/// A unified social credit code without letters but for an X at its end, which `check` calls 10 (GB 32100: the check
/// sign is modulo 31, and X the 29th of its signs). It is public.
fn is_company(body: &[u8], check: u32) -> bool {
    if !matches!(body, [1 | 5 | 9, 1..=3 | 9, ..]) {
        return false;
    }
    let (mut weight, mut sum) = (1, 0);
    for digit in body {
        sum += u32::from(*digit) * weight;
        weight = weight * 3 % 31;
    }
    (31 - sum % 31) % 31 == if check == 10 { 29 } else { check }
}

/// The first two digits name a province (GB/T 2260), or a foreigner's card.
fn is_province(digits: &[u8]) -> bool {
    matches!(two(digits), 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91)
}

fn two(digits: &[u8]) -> u32 {
    u32::from(digits[0]) * 10 + u32::from(digits[1])
}

fn four(digits: &[u8]) -> u32 {
    two(digits) * 100 + two(&digits[2..])
}

/// Four digits that are a day of that year.
fn is_date(year: u32, day: &[u8]) -> bool {
    let (Ok(year), Ok(month), Ok(day)) =
        (i16::try_from(year), i8::try_from(two(day)), i8::try_from(two(&day[2..])))
    else {
        return false;
    };
    jiff::civil::Date::new(year, month, day).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn personal_numbers_are_hidden_however_they_are_written() {
        for (text, masked) in [
            ("我的手机13800138000，请回电", "我的手机138****8000，请回电"),
            ("138 0013 8000", "138 **** 8000"),
            ("138-0013-8000 王总", "138-****-8000 王总"),
            ("138.0013.8000", "138.****.8000"),
            ("138 - 0013 - 8000", "138 - **** - 8000"),
            ("1380-0138-000", "138*-***8-000"),
            ("1 3 8 0 0 1 3 8 0 0 0", "1 3 8 * * * * 8 0 0 0"),
            ("１３８００１３８０００", "１３８****８０００"),
            ("+86 138 0013 8000", "+86 138 **** 8000"),
            ("+8613800138000", "+86138****8000"),
            ("0086-13800138000", "0086-138****8000"),
            ("+86138 0013 8000", "+86138 **** 8000"),
            ("微信号wx19912345678", "微信号wx199****5678"),
            ("13800138000/13900139000", "138****8000/139****9000"),
            ("13800138000 13900139000", "138****8000 139****9000"),
            ("11月24日 13800138000", "11月24日 138****8000"),
            ("2026-11-24 13800138000", "2026-11-24 138****8000"),
            ("编号1124-007 13800138000", "编号1124-007 138****8000"),
            ("021-64881234", "021-****1234"),
            ("（021）64881234转801", "（021）****1234转801"),
            ("021-6488-1234-801", "021-****-1234-801"),
            ("02164881234", "021****1234"),
            ("0512-65881234", "0512-****1234"),
            ("0512-6588123", "0512-***8123"),
            ("办公室电话：64881234", "办公室电话：****1234"),
            ("电话 6488 1234 或 5488-1234", "电话 **** 1234 或 ****-1234"),
            ("Tel: 64881234", "Tel: ****1234"),
            ("身份证310112199003071233", "身份证310*************33"),
            ("31011219900307123X，张三", "310*************3X，张三"),
            ("310112 19900307 1248", "310*** ******** **48"),
            ("身份证号310112900307123", "身份证号310**********23"),
            ("卡号6222021234567890128", "卡号622************0128"),
            ("6222 0212 3456 7894", "622* **** **** 7894"),
        ] {
            assert_eq!(mask(text), masked, "{text}");
            assert!(found(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_personal_number_stays() {
        for text in [
            "注册资本15000000元，实缴1500.5万",
            "电话里说要交20000000元",
            "电话费 20000000.50 元",
            "咨询单1124-007和1124-12345",
            "2026-11-24 至 2026-12-31",
            "联系日期20201124",
            "沪府办发〔2022〕21号",
            "打12345或者12366、12333",
            "税号91310112MA1GB4X123",
            // Codes whose last sign would fit an identity card or a bank card, too.
            "统一社会信用代码91310000132200132X",
            "统一社会信用代码913100001322000618",
            "统一社会信用代码913100001322000416",
            "400-820-8820",
            "3.14159265358979",
            "64881234",
            "1998-2020 150 元",
            "订单4200001234202611241234567890",
            "人员共 12345678 名",
            "房租从 1500 涨到 1800，押金 3600",
        ] {
            assert_eq!(mask(text), text);
            assert!(matches!(mask(text), Cow::Borrowed(_)) && !found(text), "{text}");
        }
    }

    #[test]
    fn a_long_text_takes_no_longer_than_its_length() {
        for unit in ["1 ", "138-", "电话6488 ", "12345678901 "] {
            assert_eq!(mask(&unit.repeat(50_000)).chars().count(), unit.chars().count() * 50_000);
        }
    }

    proptest! {
        #[test]
        fn nothing_but_digits_is_hidden_and_once_is_enough(text in "[0-9０-９ X.*电话手机a年-]{0,60}") {
            let once = mask(&text).into_owned();
            prop_assert_eq!(text.chars().count(), once.chars().count());
            for (before, after) in text.chars().zip(once.chars()) {
                prop_assert!(before == after || (after == '*' && digit(before).is_some()));
            }
            prop_assert_eq!(found(&text), once != text);
            prop_assert_eq!(mask(&once).into_owned(), once.clone());
        }

        #[test]
        fn every_mobile_number_among_chinese_is_hidden(
            before in "[\u{4e00}-\u{9fa5}，。]{0,20}", number in "1[3-9][0-9]{9}", after in "[\u{4e00}-\u{9fa5}，。]{0,20}"
        ) {
            let text = format!("{before}{number}{after}");
            let shown = mask(&text).into_owned();
            prop_assert_eq!(shown, format!("{before}{}****{}{after}", &number[..3], &number[7..]));
        }

        #[test]
        fn every_identity_card_is_hidden(day in 0_i32..36_000, serial in 0_u32..1000) {
            let born = jiff::civil::date(1925, 1, 1).saturating_add(jiff::Span::new().days(day));
            let body = format!("310112{:04}{:02}{:02}{serial:03}", born.year(), born.month(), born.day());
            for check in "0123456789X".chars() {
                let text = format!("身份证{body}{check}");
                prop_assert!(found(&text));
            }
        }
    }
}
