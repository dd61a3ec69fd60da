//! The main loop through real sockets: a follower asks, the bot answers or opens a ticket, staff answer, it arrives.

use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use xinqi::app::App;
use xinqi::clock::Clock;
use xinqi::config::Config;
use xinqi::conversation::{Act, StaffAct};
use xinqi::fake_wechat::{FakeWechat, Side, Via};
use xinqi::store::{Query, Store};
use xinqi::wechat::OpenId;

struct House {
    fake: FakeWechat,
    store: std::sync::Arc<dyn Store>,
    desk: xinqi::desk::Desk,
    stop: watch::Sender<bool>,
    done: tokio::task::JoinHandle<anyhow::Result<()>>,
}

async fn open(dir: &std::path::Path) -> House {
    let environment = [
        ("XINQI_DATA_DIR", dir.to_str().unwrap()),
        ("XINQI_KNOWLEDGE_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/knowledge")),
    ];
    let config = Config::load(None, environment.map(|(k, v)| (k.to_owned(), v.to_owned()))).unwrap();
    let app = App::build(config, Clock::system()).await.unwrap();
    let (fake, store, desk) = (app.fake_wechat().unwrap(), app.store(), app.desk());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    fake.set_webhook_url(format!("http://{}/wechat", listener.local_addr().unwrap()));
    let (stop, stopped) = watch::channel(false);
    let done = tokio::spawn(app.run(listener, stopped));
    House { fake, store, desk, stop, done }
}

impl House {
    async fn said(&self, who: &OpenId, text: &str) -> String {
        let delivered = self.fake.says(who, text).await.unwrap();
        assert_eq!(delivered.status, 200);
        delivered.reply.unwrap_or_default()
    }

    async fn close(self) {
        self.stop.send(true).unwrap();
        self.done.await.unwrap().unwrap();
    }

    /// Polls, bounded, for a message the courier brings by itself.
    async fn receives(&self, who: &OpenId, text: &str) -> bool {
        for _ in 0..200 {
            let came = |bubble: &xinqi::fake_wechat::Bubble| {
                bubble.from == Side::Account && bubble.via == Some(Via::Custom) && bubble.text.contains(text)
            };
            if self.fake.transcript(who).iter().any(came) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_asks_staff_answer_and_it_arrives_once() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let ming = house.fake.follow("小明");
    assert!(house.said(&ming, "员工干了半年没签合同，要双倍工资").await.contains("没签书面劳动合同"));
    assert!(house.said(&ming, "外星人开公司要护照吗").await.contains("编号："));
    // WeChat asks again, four times in all: the same reply, one ticket.
    for _ in 0..3 {
        assert!(house.fake.resend(&ming).await.unwrap().reply.unwrap().contains("编号："));
    }
    let page = house.store.tickets(&Query { limit: 10, ..Query::default() }).await.unwrap();
    assert_eq!(page.tickets.len(), 1);
    let ticket = &page.tickets[0];
    let act = |seen, text: &str| StaffAct {
        ticket: ticket.id,
        by: "王敏".into(),
        seen,
        act: Act::Answer(text.into()),
    };
    house.desk.act("form 1", act(ticket.n_lines, "要的，请到窗口。")).await.unwrap().unwrap();
    house.desk.act("form 1", act(ticket.n_lines, "要的，请到窗口。")).await.unwrap().unwrap();
    assert!(house.desk.act("form 2", act(ticket.n_lines, "不要。")).await.unwrap().is_err());
    assert!(house.receives(&ming, "要的，请到窗口。").await);
    assert_eq!(house.fake.calls("/cgi-bin/message/custom/send"), 1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_outside_the_window_waits_for_the_next_word_and_a_restart_forgets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path()).await;
    let li = house.fake.follow("小李");
    let answer = house.said(&li, "试用期最长几个月").await;
    assert_eq!(house.fake.resend(&li).await.unwrap().reply.unwrap(), answer);
    house.said(&li, "火星上怎么开店").await;
    house.fake.expire_window(&li);
    let ticket =
        house.store.tickets(&Query { limit: 1, ..Query::default() }).await.unwrap().tickets.remove(0);
    let act = StaffAct {
        ticket: ticket.id,
        by: "王敏".into(),
        seen: ticket.n_lines,
        act: Act::Answer("先买票。".into()),
    };
    house.desk.act("form", act).await.unwrap().unwrap();
    for _ in 0..200 {
        if house.store.recall(ticket.follower).await.unwrap().parked.len() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(house.store.recall(ticket.follower).await.unwrap().parked.len(), 1);
    house.said(&li, "进度").await;
    assert!(house.receives(&li, "先买票。").await);
    let number = ticket.number.unwrap();
    house.close().await;
    let again = xinqi::store::SledStore::open(dir.path()).unwrap();
    assert_eq!(again.numbered(number).await.unwrap().unwrap().id, ticket.id);
}
