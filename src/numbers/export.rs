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
