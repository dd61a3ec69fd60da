//! One row a ticket, for Excel. Knows the columns and how a cell is kept from being taken for a formula; what is written is
//! handed over row by row, so that a hundred thousand need no room. Questions go out without personal numbers.

use super::{Fact, Origin};
use crate::clock::Timestamp;
use crate::knowledge::{Category, Department};
use crate::mask::mask;
use crate::ticket::Stage;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet, XlsxError};
use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

/// What stands over the columns, and how wide they are in Excel.
pub const COLUMNS: [(&str, u8); 18] = [
    ("编号", 11),
    ("提交时间", 17),
    ("渠道", 7),
    ("类别", 10),
    ("主办部门", 12),
    ("协办部门", 16),
    ("办理人", 10),
    ("状态", 11),
    ("问题", 60),
    ("答复期限", 17),
    ("首次答复", 17),
    ("首次答复用时（小时）", 12),
    ("办结时间", 17),
    ("是否超期", 10),
    ("评价（1–5）", 9),
    ("重开次数", 9),
    ("延期次数", 9),
    ("转办次数", 9),
];

/// Why an export failed: writing did.
#[derive(Debug, thiserror::Error)]
#[error("导出失败：{0}")]
pub struct ExportError(String);

impl From<XlsxError> for ExportError {
    fn from(error: XlsxError) -> Self {
        Self(error.to_string())
    }
}

impl From<csv::Error> for ExportError {
    fn from(error: csv::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<std::io::Error> for ExportError {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// One ticket's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    number: String,
    opened_at: Timestamp,
    origin: Origin,
    category: Category,
    department: Department,
    helping: String,
    assignee: String,
    stage: Stage,
    subject: Arc<str>,
    due: Timestamp,
    first_answered_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    is_overdue: bool,
    rating: Option<u8>,
    n_reopened: u8,
    n_extensions: u8,
    n_transfers: usize,
}

impl Row {
    /// The row of a ticket as it stands now.
    pub fn of(fact: &Fact, now: Timestamp) -> Self {
        let helping: Vec<&str> = fact.helping.iter().map(|department| department.name()).collect();
        Self {
            number: fact.number.clone(),
            opened_at: fact.opened_at,
            origin: fact.origin,
            category: fact.category,
            department: fact.department,
            helping: helping.join("、"),
            assignee: fact.assignee.clone().unwrap_or_default(),
            stage: fact.stage,
            subject: fact.subject.clone(),
            due: fact.due,
            first_answered_at: fact.first_answered_at,
            closed_at: fact.closed_at,
            is_overdue: fact.is_overdue(now),
            rating: fact.rating,
            n_reopened: fact.n_reopened,
            n_extensions: fact.n_extensions,
            n_transfers: fact.hops.len(),
        }
    }

    /// Its cells, in the order of [`COLUMNS`].
    fn cells(&self) -> [Cell<'_>; COLUMNS.len()] {
        let moment = |at: Option<Timestamp>| at.map_or(Cell::Empty, Cell::Moment);
        let count = |n: u8| Cell::Number(f64::from(n));
        let took = self.first_answered_at.map(|at| at.since(self.opened_at).as_secs_f64() / 3600.0);
        [
            Cell::Text(clean(&self.number)),
            Cell::Moment(self.opened_at),
            Cell::Text(self.origin.name().into()),
            Cell::Text(self.category.name().into()),
            Cell::Text(self.department.name().into()),
            Cell::Text(clean(&self.helping)),
            Cell::Text(clean(&self.assignee)),
            Cell::Text(self.stage.name().into()),
            Cell::Text(clean(&mask(&self.subject)).into_owned().into()),
            Cell::Moment(self.due),
            moment(self.first_answered_at),
            took.map_or(Cell::Empty, |hours| Cell::Number((hours * 10.0).round() / 10.0)),
            moment(self.closed_at),
            Cell::Text(if self.is_overdue { "超期" } else { "否" }.into()),
            self.rating.map_or(Cell::Empty, count),
            count(self.n_reopened),
            count(self.n_extensions),
            Cell::Number(f64::from(u32::try_from(self.n_transfers).unwrap_or(u32::MAX))),
        ]
    }
}

/// What stands in one cell.
enum Cell<'r> {
    Text(Cow<'r, str>),
    Number(f64),
    Moment(Timestamp),
    Empty,
}

/// Without signs that no sheet can show: a row is a line in every reader.
fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// A csv file says of no cell that it is text: Excel would compute what begins like a formula. With an apostrophe before
/// it, it is read as text. Full-width signs count, too: Chinese versions take them for the narrow ones.
fn defused(text: &str) -> Cow<'_, str> {
    const SIGNS: [char; 10] = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r'];
    if text.starts_with(SIGNS) || text.trim_start().starts_with(SIGNS) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Writes the rows as csv in UTF-8, with the mark by which Excel knows that it is.
pub fn csv(rows: impl IntoIterator<Item = Row>, mut to: impl Write) -> Result<(), ExportError> {
    to.write_all("\u{feff}".as_bytes())?;
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
    writer.write_record(COLUMNS.map(|(name, _)| name))?;
    for row in rows {
        for cell in row.cells() {
            match cell {
                Cell::Text(text) => writer.write_field(defused(&text).as_bytes())?,
                Cell::Number(number) => writer.write_field(number.to_string())?,
                Cell::Moment(at) => writer.write_field(at.to_string())?,
                Cell::Empty => writer.write_field("")?,
            }
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.flush()?;
    Ok(())
}

/// Writes the rows as a workbook of Excel's. Rows lie in a temporary file until the end, so that they take no room; text is
/// written as text, whatever it begins with.
pub fn xlsx(
    rows: impl IntoIterator<Item = Row>,
    now: Timestamp,
    to: impl Write + Send,
) -> Result<(), ExportError> {
    let mut book = Workbook::new();
    let made = excel_time(now).unwrap_or_default();
    book.set_properties(&DocProperties::new().set_title("咨询单明细").set_creation_datetime(&made));
    let sheet = book.add_worksheet_with_constant_memory()?;
    sheet.set_name("咨询单")?.set_freeze_panes(1, 1)?;
    let head = Format::new().set_bold().set_text_wrap().set_align(FormatAlign::VerticalCenter);
    for (column, (name, width)) in (0..).zip(COLUMNS) {
        sheet.set_column_width(column, f64::from(width))?;
        sheet.write_string_with_format(0, column, name, &head)?;
    }
    let moment = Format::new().set_num_format("yyyy-mm-dd hh:mm");
    let mut last = 0;
    for (line, row) in (1..).zip(rows) {
        for (column, cell) in (0..).zip(row.cells()) {
            write(sheet, (line, column), cell, &moment)?;
        }
        last = line;
    }
    sheet.autofilter(0, 0, last, u16::try_from(COLUMNS.len() - 1).unwrap_or(0))?;
    book.save_to_writer(to)?;
    Ok(())
}

fn write(sheet: &mut Worksheet, at: (u32, u16), cell: Cell<'_>, moment: &Format) -> Result<(), XlsxError> {
    let (row, column) = at;
    match cell {
        Cell::Text(text) if text.is_empty() => {}
        Cell::Text(text) => drop(sheet.write_string(row, column, text)?),
        Cell::Number(number) => drop(sheet.write_number(row, column, number)?),
        Cell::Moment(at) => match excel_time(at) {
            Some(time) => drop(sheet.write_datetime_with_format(row, column, &time, moment)?),
            None => drop(sheet.write_string(row, column, at.to_string())?),
        },
        Cell::Empty => {}
    }
    Ok(())
}

/// The wall clock in Shanghai, to the minute, as Excel counts it.
fn excel_time(at: Timestamp) -> Option<ExcelDateTime> {
    let t = at.local();
    let part = |n: i8| u8::try_from(n).ok();
    let day =
        ExcelDateTime::from_ymd(u16::try_from(t.year()).ok()?, part(t.month())?, part(t.day())?).ok()?;
    day.and_hms(u16::try_from(t.hour()).ok()?, part(t.minute())?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::report::tests::{at, fact};
    use calamine::{Data, Reader, Xlsx};
    use std::io::Cursor;

    const NOW: &str = "2026-11-10T12:00";

    fn rows(subjects: &[&str]) -> Vec<Row> {
        let rows = subjects.iter().map(|subject| {
            let mut fact = fact("2026-11-02", Department::Union);
            fact.subject = (*subject).into();
            fact.assignee = Some("=王敏".into());
            fact.helping = vec![Department::Economy, Department::Finance];
            fact.first_answered_at = Some(at("2026-11-03T12:30"));
            fact.hops = vec![(Department::Desk, Department::Union)];
            (fact.rating, fact.n_reopened, fact.n_extensions) = (Some(4), 1, 2);
            Row::of(&fact, at(NOW))
        });
        rows.collect()
    }

    fn csv_of(rows: Vec<Row>) -> (Vec<u8>, Vec<Vec<String>>) {
        let mut bytes = Vec::new();
        csv(rows, &mut bytes).unwrap();
        let mut reader = ::csv::Reader::from_reader(&bytes[3..]);
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), COLUMNS.map(|(name, _)| name));
        let records = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect());
        let records = records.collect();
        (bytes, records)
    }

    fn sheet_of(rows: Vec<Row>) -> Vec<Vec<Data>> {
        let mut bytes = Vec::new();
        xlsx(rows, at(NOW), &mut bytes).unwrap();
        let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
        assert!(book.worksheet_formula("咨询单").unwrap().cells().next().is_none(), "a formula");
        let sheet = book.worksheet_range("咨询单").unwrap();
        sheet.rows().map(<[Data]>::to_vec).collect()
    }

    #[test]
    fn a_ticket_reads_in_csv_as_it_is() {
        let (bytes, records) = csv_of(rows(&["厂房,屋顶\"能装\"光伏\n吗"]));
        assert_eq!(&bytes[..3], "\u{feff}".as_bytes());
        let expected = [
            "1102-001",
            "2026-11-02 10:00",
            "微信",
            "帮扶政策",
            "镇总工会",
            "经发办、财政所",
            "'=王敏",
            "待处理",
            "厂房,屋顶\"能装\"光伏 吗",
            "2026-11-02 16:00",
            "2026-11-03 12:30",
            "26.5",
            "",
            "超期",
            "4",
            "1",
            "2",
            "1",
        ];
        assert_eq!(records, [expected.map(str::to_owned).to_vec()]);
    }

    #[test]
    fn a_ticket_reads_in_excel_as_it_is_with_moments_that_are_moments() {
        let sheet = sheet_of(rows(&["厂房<屋顶>&能装光伏吗"]));
        assert_eq!(sheet.len(), 2);
        let heads: Vec<String> = sheet[0].iter().map(ToString::to_string).collect();
        assert_eq!(heads, COLUMNS.map(|(name, _)| name));
        let row = &sheet[1];
        assert_eq!(row[0], Data::String("1102-001".into()));
        let Data::DateTime(moment) = &row[1] else { panic!("{:?}", row[1]) };
        // 46,328 days after Excel's beginning, and ten hours.
        assert!((moment.as_f64() - (46_328.0 + 10.0 / 24.0)).abs() < 1e-6, "{moment:?}");
        assert_eq!(row[6], Data::String("=王敏".into()));
        assert_eq!(row[8], Data::String("厂房<屋顶>&能装光伏吗".into()));
        assert_eq!((&row[11], &row[12], &row[14]), (&Data::Float(26.5), &Data::Empty, &Data::Float(4.0)));
    }

    #[test]
    fn no_cell_is_a_formula_and_no_personal_number_leaves() {
        let evil = ["=1+1", "+86", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "=cmd|' /C calc'!A0"];
        let (_, records) = csv_of(rows(&evil));
        for record in &records {
            assert!(record[8].starts_with('\''), "{record:?}");
        }
        for (row, subject) in sheet_of(rows(&evil)).iter().skip(1).zip(evil) {
            assert_eq!(row[8], Data::String(clean(subject).into_owned()));
        }
        let (_, records) = csv_of(rows(&["找13800138000王总"]));
        assert_eq!(records[0][8], "找138****8000王总");
        let sheet = sheet_of(rows(&["找13800138000王总"]));
        assert_eq!(sheet[1][8], Data::String("找138****8000王总".into()));
    }

    #[test]
    fn an_export_of_nothing_has_its_heads() {
        assert!(csv_of(Vec::new()).1.is_empty());
        assert_eq!(sheet_of(Vec::new()).len(), 1);
    }
}
