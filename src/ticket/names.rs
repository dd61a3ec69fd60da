//! Names: of followers, tickets, messages and files, and the number people say. Knows how each is written; nothing of what
//! it names.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A follower everywhere but at WeChat's door: a random number, so that erasing the one record that maps it to the
/// openid makes all others anonymous. Who only calls or comes by has one, too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FollowerId(pub u128);

impl fmt::Debug for FollowerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "f{:08x}", self.0 >> 96)
    }
}

/// Names a ticket inside the program. It follows from what caused the ticket, so the same cause names the same ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TicketId(pub u64);

/// Names one message on its way to a follower. It follows from what caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeliveryId(pub u64);

/// Names one file of a ticket. It follows from what brought the file. In paths and addresses it is written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FileId(pub u64);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Why a text names no file: it is not 16 hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("附件编号应为 16 位十六进制数字")]
pub struct NoFileId;

impl FromStr for FileId {
    type Err = NoFileId;

    fn from_str(text: &str) -> Result<Self, NoFileId> {
        hex16(text).map(Self).ok_or(NoFileId)
    }
}

/// The number that 16 hexadecimal digits in lower case are.
pub(crate) fn hex16(text: &str) -> Option<u64> {
    let digits = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u64::from_str_radix(text, 16).ok().filter(|_| digits)
}

/// The number people say: `1124-007`, the day and a running count. The year makes it unique for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Number {
    /// Year of opening.
    pub year: i16,
    /// Month × 100 + day of opening.
    pub day: u16,
    /// Counts from 1 each day, without an upper limit.
    pub serial: u32,
}

impl Number {
    /// The `serial`-th ticket of a day.
    pub fn new(date: Date, serial: u32) -> Self {
        let day = date.month().unsigned_abs() as u16 * 100 + date.day().unsigned_abs() as u16;
        Self { year: date.year(), day, serial }
    }

    /// Finds a number in what somebody typed (`1124-007`, `1124 007`, `1124007`); the year is `year`.
    pub fn parse(text: &str, year: i16) -> Option<Self> {
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if !(7..=13).contains(&digits.len()) {
            return None;
        }
        let (day, serial) = digits.split_at(4);
        Some(Self { year, day: day.parse().ok()?, serial: serial.parse().ok()? })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:03}", self.day, self.serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_as_people_type_it_and_has_no_upper_limit() {
        let number = Number::new("2026-11-24".parse().unwrap(), 7);
        assert_eq!(number.to_string(), "1124-007");
        for typed in ["1124-007", "进度 1124 007", "1124007", "编号1124－007呢"] {
            assert_eq!(Number::parse(typed, 2026), Some(number), "{typed}");
        }
        let big = Number::new("2026-01-02".parse().unwrap(), 12_345);
        assert_eq!(Number::parse(&big.to_string(), 2026), Some(big));
        assert_eq!(Number::parse("进度", 2026), None);
    }

    #[test]
    fn ids_are_written_in_one_way_only() {
        let id = FileId(0xab);
        assert_eq!(id.to_string(), "00000000000000ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "ab", "00000000000000AB", "+0000000000000ab", "00000000000000ab0", "../0000000000000"]
        {
            assert!(text.parse::<FileId>().is_err(), "{text}");
        }
    }
}
