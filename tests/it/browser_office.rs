//! Journeys of the office in a real browser: a clerk by keyboard, two at one ticket, a lead, and every page of the console
//! looked at by axe, light and dark. A second person comes through another name of this machine, with cookies of their own.

use crate::browser::{PASSWORD, QUESTION, Screen, asks, house, journey, takes_on};
use crate::process::staff_add;
use serde_json::json;
use std::time::Duration;
use thirtyfour::prelude::*;

const AXE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/axe/node_modules/axe-core/axe.min.js");

impl Screen {
    /// The same service as somebody else sees it, in a tab of their own.
    async fn somebody_else(&self) -> (Screen, WindowHandle) {
        let base = self.base.replace("127.0.0.1", "localhost");
        let tab = self.driver.new_tab().await.unwrap();
        self.driver.switch_to_window(tab.clone()).await.unwrap();
        (Screen { driver: self.driver.clone(), base }, tab)
    }

    async fn turns_to(&self, tab: &WindowHandle) {
        self.driver.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Presses keys wherever the focus is.
    async fn types(&self, keys: impl Into<TypingData>) {
        let focused = self.driver.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    async fn value(&self, css: &str) -> String {
        self.finds(css).await.value().await.unwrap().unwrap_or_default()
    }

    /// What axe finds that is serious or worse.
    async fn faults(&self) -> Vec<String> {
        let axe = std::fs::read_to_string(AXE).expect("axe-core is missing: tests/run installs it");
        self.driver.execute(axe, Vec::new()).await.unwrap();
        let run = "const done = arguments[arguments.length - 1];
            axe.run().then((found) => done(found.violations
              .filter((one) => ['serious', 'critical'].includes(one.impact))
              .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' ')}`)));";
        self.driver.execute_async(run, Vec::new()).await.unwrap().convert().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clerk_works_by_keyboard_and_takes_an_answer_back() {
    let (dir, service) = house();
    takes_on(&dir, "李强");
    journey(false, service, async |screen, _service| {
        asks(&screen).await;
        screen.logs_in("李强").await;
        screen.sees("#queue-body .subject a", QUESTION).await;
        screen.types("?").await;
        screen.sees("#keys", "键盘快捷键").await;
        screen.presses("#keys button").await;
        screen.finds("body").await.send_keys("j").await.unwrap();
        screen.types(Key::Enter).await;
        screen.sees("#ticket-body h1", QUESTION).await;
        screen.finds("body").await.send_keys("r").await.unwrap();
        screen.types("不需要护照。").await;
        screen.sees("#room", "还可写约").await;
        screen.types(Key::Control + Key::Enter).await;
        screen.sees("#undo", "秒后发出").await;
        screen.presses("#undo button").await;
        screen.sees("#ticket-body .fate", "撤回，没有发出").await;
        assert_eq!(screen.value("#text").await, "不需要护照。", "the words are back");
        screen.finds("body").await.send_keys("r").await.unwrap();
        screen.types("::核实").await;
        screen.sees("#offers .offer", "已收到，正在核实").await;
        screen.presses("#offers .offer").await;
        assert!(screen.value("#text").await.contains("会在答复期限之前回复您"));
        screen.presses("#preview-fold summary").await;
        screen.sees("#preview .wx", "会在答复期限之前回复您").await;
        screen.shoots("ticket-preview").await;
        screen.finds("#text").await.click().await.unwrap();
        screen.types(Key::Control + Key::Enter).await;
        screen.sees("#ticket-body .fate", "已发送").await;
    })
    .await;
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_at_one_ticket_see_each_other_and_do_not_talk_past_each_other() {
    let (dir, service) = house();
    takes_on(&dir, "李强");
    takes_on(&dir, "王敏");
    journey(false, service, async |li, _service| {
        asks(&li).await;
        li.logs_in("李强").await;
        li.follows("#queue-body .subject a", QUESTION).await;
        li.sees("#ticket-body h1", QUESTION).await;
        let lis = li.driver.window().await.unwrap();
        let (wang, wangs) = li.somebody_else().await;
        wang.logs_in("王敏").await;
        wang.follows("#queue-body .subject a", QUESTION).await;
        wang.sees("#ticket-body h1", QUESTION).await;
        wang.writes("#text", "王敏的答复").await;

        li.turns_to(&lis).await;
        li.sees("#ticket-body .present", "王敏 正在写").await;
        li.writes("#text", "李强的草稿").await;
        wang.turns_to(&wangs).await;
        wang.presses("#answer button[value=answer]").await;
        wang.sees("#ticket-body .bubble", "王敏的答复").await;

        li.turns_to(&lis).await;
        li.sees("#ticket-body .fresh .bubble", "王敏的答复").await;
        assert_eq!(li.value("#text").await, "李强的草稿", "nothing is taken from under the hands");
        li.presses("#answer button[value=answer]").await;
        li.sees("[role=alert]", "您打开页面之后又有新内容").await;
        assert_eq!(li.value("#text").await, "李强的草稿");
        li.shoots("refused").await;
        // Half a second after the last letter the draft is on the server: another screen has it.
        li.writes("#text", "，再补充").await;
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        li.opens("/console?shelf=answered").await;
        li.sees("#queue-body .news", "李强的草稿，再补充").await;
    })
    .await;
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_gives_time_and_work_and_lists_change_by_themselves() {
    let (dir, service) = house();
    takes_on(&dir, "李强");
    let added = staff_add(dir.path(), "赵主任", "lead", PASSWORD);
    assert!(added.status.success());
    journey(false, service, async |li, _service| {
        asks(&li).await;
        let (zhao, zhaos) = {
            let lis = li.driver.window().await.unwrap();
            let (zhao, tab) = li.somebody_else().await;
            zhao.logs_in("赵主任").await;
            zhao.opens("/console?view=lead").await;
            zhao.sees("#queue-body .nothing", "没有等您决定的单子").await;
            li.turns_to(&lis).await;
            (zhao, tab)
        };
        li.logs_in("李强").await;
        li.follows("#queue-body .subject a", QUESTION).await;
        li.sees(".fold summary", "申请延期").await.click().await.unwrap();
        li.writes(".fold[open] input[name=reason]", "要问区里").await;
        li.presses("button[value=extend]").await;
        li.sees("#ticket-body .chip", "申请延期").await;

        zhao.turns_to(&zhaos).await;
        zhao.sees("#queue-body .chip", "申请延期").await;
        zhao.shoots("lead").await;
        zhao.follows("#queue-body .subject a", QUESTION).await;
        zhao.presses("button[value=grant]").await;
        zhao.sees("#ticket-body .event", "同意 李强 延期").await;
        zhao.sees(".fold summary", "指派").await.click().await.unwrap();
        zhao.finds(".fold[open] select[name=to]").await.send_keys("李强").await.unwrap();
        zhao.presses("button[value=assign]").await;
        zhao.sees("#ticket-body .event", "指派给 李强").await;
    })
    .await;
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_of_the_console_has_a_serious_fault_light_or_dark() {
    let (dir, service) = house();
    let added = staff_add(dir.path(), "王敏", "admin", PASSWORD);
    assert!(added.status.success());
    journey(false, service, async |screen, _service| {
        asks(&screen).await;
        screen.opens("/console/login").await;
        assert_eq!(screen.faults().await, Vec::<String>::new(), "login");
        screen.logs_in("王敏").await;
        let href = screen.finds("#queue-body .subject a").await.attr("href").await.unwrap().unwrap();
        let pages = [
            "/console",
            href.as_str(),
            "/console/new",
            "/console/search?q=%E6%8A%A4%E7%85%A7",
            "/console/numbers",
            "/console/audit",
            "/console/staff",
            "/console/account",
            "/console/account/second-factor",
            "/console/doctor",
            "/console/qr",
            "/console/try",
        ];
        for scheme in ["light", "dark"] {
            let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
            screen.driver.cdp().send_raw("Emulation.setEmulatedMedia", media).await.unwrap();
            for page in pages {
                screen.opens(page).await;
                screen.finds("main").await;
                // What is folded counts, too.
                let unfold = "document.querySelectorAll('details').forEach((one) => { one.open = true; });";
                screen.driver.execute(unfold, Vec::new()).await.unwrap();
                assert_eq!(screen.faults().await, Vec::<String>::new(), "{page}, {scheme}");
            }
        }
    })
    .await;
    drop(dir);
}
