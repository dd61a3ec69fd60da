//! Journeys in a real browser, one a role: a follower in the simulator, the first administrator, a member of staff, and
//! staff with a phone in hand. Every wait names what it waits for.
#![expect(clippy::disallowed_methods, reason = "whoever wants pictures says so in the environment")]

use crate::process::{Process, staff_add};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use thirtyfour::error::WebDriverErrorInner;
use thirtyfour::prelude::*;

pub const PASSWORD: &str = "correct horse battery";
pub const QUESTION: &str = "外星人开公司要护照吗";
const POLL: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(10);

/// chromedriver on a port of the system's choice, with whatever browsers it starts; all ended when dropped.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is missing: apt-get install chromium chromium-driver (tests/run does it)");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        let port = port.expect("chromedriver names its port");
        // Whatever else it prints is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
    }
}

/// Somebody at a screen.
#[derive(Clone)]
pub struct Screen {
    pub driver: WebDriver,
    pub base: String,
}

/// A service, a browser 1280 wide or a phone 390 wide, and what somebody does with them.
pub async fn journey<F: Future<Output = ()> + Send + 'static>(
    phone: bool,
    service: Process,
    walk: impl FnOnce(Screen, Process) -> F,
) {
    // thirtyfour's client looks for one; a second journey finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (chromedriver, profile) = (Driver::start(), tempfile::tempdir().unwrap());
    let mut wanted = DesiredCapabilities::chrome();
    for argument in [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--no-first-run",
        "--window-size=1280,900",
        &format!("--user-data-dir={}", profile.path().display()),
    ] {
        wanted.add_arg(argument).unwrap();
    }
    if phone {
        let metrics = serde_json::json!({
            "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 2.0, "touch": true, "mobile": true }
        });
        wanted.add_experimental_option("mobileEmulation", metrics).unwrap();
    }
    let driver = WebDriver::new(&chromedriver.url, wanted).await.expect("chromedriver opens a browser");
    let screen = Screen { driver: driver.clone(), base: service.base.clone() };
    // The browser is closed also when the journey fails.
    let walked = tokio::spawn(walk(screen, service)).await;
    let closed = driver.quit().await;
    drop((chromedriver, profile));
    if let Err(error) = walked {
        std::panic::resume_unwind(error.into_panic());
    }
    closed.unwrap();
}

impl Screen {
    pub async fn opens(&self, address: &str) {
        let url =
            if address.starts_with("http") { address.into() } else { format!("{}{address}", self.base) };
        self.driver.goto(url).await.unwrap();
    }

    /// The first thing of this selector that can be seen, within ten seconds.
    pub async fn finds(&self, css: &str) -> WebElement {
        let query = self.driver.query(By::Css(css)).wait(PATIENCE, POLL).and_displayed();
        match query.first().await {
            Ok(found) => found,
            Err(error) => panic!("no {css} on the screen ({error}), but:\n{}", self.shown().await),
        }
    }

    /// Waits until something of this selector holds the text.
    pub async fn sees(&self, css: &str, text: &str) -> WebElement {
        // A page that refreshes itself may replace what was found before it is read: it is looked for again.
        for _ in 0..PATIENCE.as_millis() / POLL.as_millis() {
            for found in self.driver.find_all(By::Css(css)).await.unwrap_or_default() {
                if found.text().await.is_ok_and(|shown| shown.contains(text)) {
                    return found;
                }
            }
            tokio::time::sleep(POLL).await;
        }
        panic!("no “{text}” in {css} on the screen, but:\n{}", self.shown().await)
    }

    async fn shown(&self) -> String {
        let body = self.driver.find(By::Tag("body")).await.unwrap();
        body.text().await.unwrap()
    }

    pub async fn writes(&self, css: &str, text: &str) {
        self.finds(css).await.send_keys(text).await.unwrap();
    }

    pub async fn presses(&self, css: &str) {
        self.finds(css).await.click().await.unwrap();
    }

    /// Follows a link of a page that refreshes itself: one that has been replaced meanwhile is looked for again.
    pub async fn follows(&self, css: &str, text: &str) {
        loop {
            match self.sees(css, text).await.click().await {
                Ok(()) => return,
                Err(error) if matches!(error.as_inner(), WebDriverErrorInner::StaleElementReference(_)) => {}
                Err(error) => panic!("{css} cannot be pressed: {error}"),
            }
        }
    }

    pub async fn logs_in(&self, name: &str) {
        self.opens("/console/login").await;
        self.writes("#name", name).await;
        self.writes("#password", PASSWORD).await;
        self.shoots("login").await;
        self.presses("form .primary").await;
        self.finds("#queue-body").await;
    }

    /// The follower writes and waits for the account's next words.
    pub async fn says(&self, text: &str, answer: &str) -> String {
        self.writes("#draft", text).await;
        self.presses("#send").await;
        self.sees(".row:not(.own) .bubble", answer).await.text().await.unwrap()
    }

    /// Whether the page is wider than the screen.
    pub async fn scrolls_sideways(&self) -> bool {
        let wider = "return document.scrollingElement.scrollWidth > document.documentElement.clientWidth";
        self.driver.execute(wider, Vec::new()).await.unwrap().convert().unwrap()
    }

    /// A picture for eyes, where somebody wants one: `SHOTS=/tmp/shots cargo test browser`.
    pub async fn shoots(&self, name: &str) {
        if let Some(folder) = std::env::var_os("SHOTS") {
            let width = "return document.documentElement.clientWidth";
            let width: u32 = self.driver.execute(width, Vec::new()).await.unwrap().convert().unwrap();
            let path = PathBuf::from(folder).join(format!("{name}-{width}.png"));
            self.driver.screenshot(&path).await.unwrap();
        }
    }
}

pub fn house() -> (TempDir, Process) {
    let dir = tempfile::tempdir().unwrap();
    let service = Process::sandbox(dir.path());
    (dir, service)
}

pub fn takes_on(dir: &TempDir, name: &str) {
    let added = staff_add(dir.path(), name, "agent", PASSWORD);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
}

/// The number in a receipt, e.g. `1124-007`.
fn number_in(reply: &str) -> String {
    let (_, rest) = reply.split_once("编号：").unwrap();
    rest.lines().next().unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_chooses_from_an_offer_and_gets_a_number_for_what_nobody_knows() {
    let (_dir, service) = house();
    journey(false, service, async |follower, _service| {
        follower.opens("/simulator").await;
        follower.sees(".row:not(.own) .bubble", "莘企政策咨询").await;
        let offer = follower.says("房租能免吗", "回复数字").await;
        assert!(offer.contains("1. ") && offer.contains("2. "), "{offer}");
        let answer = follower.says("1", "【").await;
        assert!(answer.starts_with('【'), "{answer}");
        let receipt = follower.says(QUESTION, "编号：").await;
        assert!(receipt.contains("答复期限"), "{receipt}");
        follower.shoots("simulator").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_comes_in_through_the_printed_link() {
    let (_dir, service) = house();
    journey(false, service, async |admin, service| {
        admin.opens(service.setup_link.as_deref().unwrap()).await;
        admin.writes("#name", "王敏").await;
        admin.writes("#password", PASSWORD).await;
        admin.writes("#again", PASSWORD).await;
        admin.shoots("setup").await;
        admin.presses("form .primary").await;
        admin.sees("[role=status]", "管理员已建好").await;
        admin.logs_in("王敏").await;
        admin.sees("#queue-body .nothing", "").await;
        admin.shoots("queue-empty").await;
        admin.opens(service.setup_link.as_deref().unwrap()).await;
        admin.sees("body", "这个链接无效").await;
    })
    .await;
}

/// A follower's unanswered question, asked on this screen.
pub async fn asks(screen: &Screen) -> String {
    screen.opens("/simulator").await;
    screen.sees(".row:not(.own) .bubble", "莘企政策咨询").await;
    number_in(&screen.says(QUESTION, "编号：").await)
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_answer_a_ticket_and_the_follower_reads_it() {
    let (dir, service) = house();
    takes_on(&dir, "李强");
    journey(false, service, async |screen, _service| {
        let number = asks(&screen).await;
        screen.logs_in("李强").await;
        screen.sees("#queue-body .subject a", QUESTION).await;
        screen.shoots("queue").await;
        screen.follows("#queue-body .subject a", QUESTION).await;
        screen.sees("#ticket-body .number", &number).await;
        screen.writes("#text", "不需要护照，请带营业执照到窗口。").await;
        screen.presses("#answer button[value=answer]").await;
        screen.finds(".flash[role=status]").await;
        screen.sees("#ticket-body .bubble", "请带营业执照到窗口").await;
        screen.sees("#ticket-body .fate", "已发送").await;
        screen.shoots("ticket").await;
        screen.opens("/simulator").await;
        screen.sees(".row:not(.own) .bubble", "不需要护照，请带营业执照到窗口。").await;
        screen.shoots("simulator-answered").await;
    })
    .await;
    drop(dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_phone_no_page_scrolls_sideways_however_long_a_name_is() {
    const NAME: &str = "欧阳建国莘庄镇经济发展办公室驻楼联络员甲";
    let (dir, service) = house();
    let added = staff_add(dir.path(), NAME, "admin", PASSWORD);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    journey(true, service, async |phone, _service| {
        asks(&phone).await;
        assert!(!phone.scrolls_sideways().await, "the simulator is too wide");
        phone.logs_in(NAME).await;
        phone.sees("#queue-body .subject a", QUESTION).await;
        phone.shoots("queue").await;
        assert!(!phone.scrolls_sideways().await, "the queue is too wide");
        phone.follows("#queue-body .subject a", QUESTION).await;
        phone.writes("#text", "不需要护照，请带营业执照到窗口。").await;
        phone.presses("#answer button[value=answer]").await;
        phone.finds(".flash[role=status]").await;
        phone.sees("#ticket-body .bubble", "请带营业执照到窗口").await;
        phone.shoots("ticket").await;
        assert!(!phone.scrolls_sideways().await, "the ticket is too wide");
        phone.opens("/console/staff").await;
        assert!(!phone.scrolls_sideways().await, "the staff page is too wide");
        phone.opens("/console/try").await;
        phone.writes("#q", "招了个厨师三个月没签合同要赔多少").await;
        phone.presses("form .primary").await;
        phone.sees(".phone .bubble", "没签书面劳动合同").await;
        phone.shoots("try").await;
        assert!(!phone.scrolls_sideways().await, "the page for trying is too wide");
    })
    .await;
    drop(dir);
}
