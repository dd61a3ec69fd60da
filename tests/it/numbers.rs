//! The office's figures as staff meet them: what a page counts, who sees whose, and what leaves for Excel.

use crate::harness::{House, PASSWORD};
use calamine::{Data, Reader, Xlsx};
use std::io::Cursor;
use std::time::Duration;
use xinqi::knowledge::Department;
use xinqi::staff::{Role, Staff};

/// Somebody of that department who has logged in.
async fn of_department(house: &House, name: &str, department: Department) -> crate::visitor::Visitor {
    let staff = Staff::new(name, Role::Agent, Some(department), PASSWORD, [8; 16]).unwrap();
    assert!(house.store().put_staff(&staff, false).await.unwrap());
    let mut visitor = house.visitor();
    assert_eq!(visitor.login(name, PASSWORD).await.status, 303);
    visitor
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_month_says_so_and_a_ticket_is_counted() {
    let house = House::open().await;
    let wang = house.colleague("王敏").await;
    let empty = wang.page("/console/numbers").await.text();
    assert!(empty.contains("这段时间没有咨询单") && empty.contains("没有机器人的逐日计数"), "{empty}");
    assert!(empty.contains("2026年11月1日 至 2026年11月24日（24 天）"), "this month: {empty}");

    let ticket = house.asks_staff("ming", "外星人开公司要护照吗<b>").await;
    assert_eq!(wang.submit(&ticket, &[("act", "answer"), ("text", "不用。")]).await.status, 303);
    house.receives("ming", "不用。").await;
    let page = wang.page("/console/numbers").await;
    for part in ["其中 1 张已答复", "1 / 1 张", "100.0%", "2026年11月24日：1 张", "还没有人评价"]
    {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert!(!page.body.contains("<b>外星人") && !page.text().contains("NaN"));
    let before = wang.page("/console/numbers?from=2026-10-01&to=2026-10-31").await.text();
    assert!(before.contains("这段时间没有咨询单"));
    let odd = wang.page("/console/numbers?from=heute&to=2099-01-01").await.text();
    assert!(odd.contains("日期没有看懂") && odd.contains("统计到今天"), "{odd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_sees_its_own_figures_on_the_page_and_in_the_file() {
    let house = House::open().await;
    house.asks_staff("ming", "员工上班路上摔了，外星人赔不赔").await;
    house.asks_staff("li", "外星人开公司要护照吗").await;
    let wang = house.colleague("王敏").await;
    let all = wang.page("/console/numbers/export.csv").await.text();
    assert_eq!(all.lines().count(), 3, "{all}");
    let owner = |subject: &str| {
        let line = all.lines().find(|line| line.contains(subject)).unwrap();
        Department::by_name(line.split(',').nth(4).unwrap()).unwrap()
    };
    let (mings, lis) = (owner("上班路上"), owner("护照"));
    assert_ne!(mings, lis, "two departments are asked: {all}");
    for (name, own, theirs, other) in [("甲", mings, "上班路上", "护照"), ("乙", lis, "护照", "上班路上")]
    {
        let visitor = of_department(&house, name, own).await;
        let file = visitor.page("/console/numbers/export.csv?from=2026-11-24&to=2026-11-24").await.text();
        assert!(file.contains(theirs) && !file.contains(other), "{file}");
        let book = visitor.page("/console/numbers/export.xlsx").await;
        let book = format!("{:?}", subjects(book.bytes));
        assert!(book.contains(theirs) && !book.contains(other), "{book}");
        let page = visitor.page("/console/numbers").await.text();
        assert!(page.contains(own.name()) && page.contains("其中 0 张已答复"), "{page}");
        assert!(!page.contains(other) && !page.contains("转人工率"), "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_has_its_name_one_row_a_ticket_and_no_personal_number() {
    let house = House::open().await;
    // Asked of the bot, which does not know: what is said to staff who asked for it would be how to reach them.
    let said = house.said("ming", "=外星人开公司要护照吗，找13800138000").await.unwrap();
    assert!(said.contains("编号："), "{said}");
    house.after(Duration::from_secs(60)).await;
    house.asks_staff("li", "月亮上能注册公司吗").await;
    let wang = house.colleague("王敏").await;
    let file = wang.page("/console/numbers/export.csv?from=2026-11-01&to=2026-11-24").await;
    assert!(file.header("content-type").unwrap().starts_with("text/csv"));
    assert_eq!(
        file.header("content-disposition"),
        Some(
            "attachment; filename=\"tickets_2026-11-01_2026-11-24.csv\"; \
             filename*=UTF-8''%E5%92%A8%E8%AF%A2%E5%8D%95_2026-11-01_2026-11-24.csv"
        )
    );
    assert!(file.bytes.starts_with("\u{feff}".as_bytes()), "Excel is told that it is UTF-8");
    assert!(
        file.body.contains("'=外星人开公司要护照吗，找138****8000") && !file.body.contains("13800138000")
    );

    let book = wang.page("/console/numbers/export.xlsx?from=2026-11-01&to=2026-11-24").await;
    assert!(book.header("content-disposition").unwrap().contains(".xlsx"));
    assert_eq!(book.header("content-length"), Some(book.bytes.len().to_string().as_str()));
    assert_eq!(subjects(book.bytes), ["=外星人开公司要护照吗，找138****8000", "月亮上能注册公司吗"]);
    assert_eq!(house.visitor().get("/console/numbers/export.csv").await.status, 303, "strangers get nothing");
}

/// The questions in a workbook, its head left out.
fn subjects(bytes: Vec<u8>) -> Vec<String> {
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let sheet = book.worksheet_range("咨询单").unwrap();
    let subjects = sheet.rows().skip(1).map(|row| match &row[8] {
        Data::String(subject) => subject.clone(),
        other => panic!("{other:?}"),
    });
    subjects.collect()
}
