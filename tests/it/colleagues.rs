//! What administrators and operators do about colleagues' accounts, and who is out of office.

use crate::accounts::{
    ACCOUNT, FACTOR, OTHER_PASSWORD, STEP, at_the_door, enrols, gives, hire, leads_to, strict,
};
use crate::harness::{House, PASSWORD};
use crate::process::program;
use crate::visitor::Visitor;
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;
use xinqi::staff::Role;

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_role_holds_at_once_and_one_administrator_stays() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    hire(&house, "李强", Role::Agent).await;
    hire(&house, "赵丽", Role::Lead).await;
    let (wang, li) = (at_the_door(&house, "王敏").await, at_the_door(&house, "李强").await);
    enrols(&house, &wang).await;
    let page = wang.page("/console/staff").await.text();
    for part in ["还能分派、批准延期、裁定转办", "只能查看", "上次登录：今天 10:00", "没登录过"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    let change = async |name, role, department| {
        let fields = [("name", name), ("role", role), ("department", department)];
        wang.acts("/console/staff", "/console/staff/change", &fields).await
    };
    let refused = change("王敏", "坐席", "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("最后一位管理员"), "{}", refused.text());
    assert_eq!(change("无名", "坐席", "").await.status, 422);
    assert_eq!(change("李强", "皇帝", "").await.status, 400);
    assert_eq!(change("李强", "只读", "财政所").await.status, 303);
    let account = li.page(ACCOUNT).await.text();
    assert!(account.contains("只读") && account.contains("财政所"), "{account}");
    assert_eq!(li.get("/console/staff").await.status, 403);

    assert_eq!(change("李强", "管理员", "财政所").await.status, 303);
    assert_eq!(
        leads_to(&li.get("/console/staff").await),
        (303, Some(FACTOR)),
        "who becomes one needs a second factor"
    );
    enrols(&house, &li).await;
    li.page("/console/staff").await;
    assert_eq!(
        leads_to(&change("王敏", "坐席", "").await),
        (303, Some("/console")),
        "with another one there"
    );
    assert_eq!(wang.get("/console/staff").await.status, 403);
    let key = wang.page("/console").await.hidden("key");
    let fields = [("key", key.as_str()), ("name", "王敏"), ("role", "管理员")];
    assert_eq!(wang.post("/console/staff/change", &fields).await.status, 403, "nobody promotes themselves");
    assert_eq!(wang.post("/console/staff/reset-factor", &fields).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_helps_a_colleague_who_lost_the_phone() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    hire(&house, "李强", Role::Admin).await;
    let (wang, li) = (at_the_door(&house, "王敏").await, at_the_door(&house, "李强").await);
    enrols(&house, &wang).await;
    assert!(wang.page("/console/staff").await.text().contains("未设置，登录后先设置"));
    let (phone, _) = enrols(&house, &li).await;
    let half = at_the_door(&house, "李强").await;
    let reset = "/console/staff/reset-factor";
    assert_eq!(wang.acts("/console/staff", reset, &[("name", "王敏")]).await.status, 422, "not their own");
    assert_eq!(wang.acts("/console/staff", reset, &[("name", "李强")]).await.status, 303);
    assert_eq!(leads_to(&li.get("/console").await), (303, Some("/console/login")), "sessions are over");
    let mut half = half;
    house.after(STEP).await;
    assert_eq!(gives(&mut half, &phone.shows(&house, 0)).await.status, 401, "and so is what was begun");
    assert_eq!(leads_to(&house.visitor().login("李强", PASSWORD).await), (303, Some(FACTOR)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_out_of_office_names_a_deputy_and_colleagues_see_it() {
    let house = House::open().await;
    for (name, role) in [("王敏", Role::Admin), ("李强", Role::Agent), ("赵丽", Role::Viewer)] {
        hire(&house, name, role).await;
    }
    let (wang, li) = (at_the_door(&house, "王敏").await, at_the_door(&house, "李强").await);
    let form = li.page(ACCOUNT).await.text();
    assert!(form.contains("<option>王敏</option>"), "{form}");
    assert!(!form.contains("<option>李强</option>") && !form.contains("<option>赵丽</option>"), "{form}");
    let away = "/console/account/away";
    let go = async |who: &Visitor, until, deputy| {
        who.acts(ACCOUNT, away, &[("until", until), ("deputy", deputy)]).await
    };
    for (until, deputy, why) in [
        ("2026-11-23", "王敏", "不能早于今天"),
        ("2027-11-23", "王敏", "最长 180 天"),
        ("soon", "王敏", "请选最后一天"),
        ("2026-11-25", "李强", "在岗的同事"),
        ("2026-11-25", "赵丽", "在岗的同事"),
        ("2026-11-25", "无名", "在岗的同事"),
    ] {
        let refused = go(&li, until, deputy).await;
        assert_eq!(refused.status, 422, "{why}");
        assert!(refused.text().contains(why), "{why}: {}", refused.text());
    }
    assert_eq!(go(&li, "2026-11-25", "王敏").await.status, 303);
    assert!(li.page(ACCOUNT).await.text().contains("11月25日 星期三，由 王敏 代理"));
    assert!(wang.page("/console/staff").await.text().contains("外出到 11月25日 星期三，王敏 代理"));
    assert_eq!(go(&wang, "2026-11-25", "李强").await.status, 422, "who is away stands in for nobody");
    let kept = house.store().staff("李强").await.unwrap().unwrap().away.unwrap();
    assert_eq!((kept.until.to_string().as_str(), kept.deputy.as_str()), ("2026-11-26 00:00", "王敏"));

    house.after(Duration::from_secs(38 * 3600 - 1)).await;
    let wang = at_the_door(&house, "王敏").await;
    assert!(wang.page("/console/staff").await.text().contains("外出到"));
    house.after(Duration::from_secs(1)).await;
    assert!(!wang.page("/console/staff").await.text().contains("外出到"), "back by themselves");

    let li = at_the_door(&house, "李强").await;
    assert_eq!(go(&li, "2026-11-30", "王敏").await.status, 303);
    assert_eq!(li.acts(ACCOUNT, away, &[("act", "back")]).await.status, 303);
    assert!(!wang.page("/console/staff").await.text().contains("外出到"));
    assert_eq!(go(&li, "2026-11-30", "王敏").await.status, 303);
    assert!(house.store().remove_staff("王敏").await.unwrap());
    assert!(li.page(ACCOUNT).await.text().contains("代理人已不在人员名单里"));
}

/// `xinqi staff …`, which finds the running service by its data folder.
fn xinqi_staff(house: &House, arguments: &[&str], password: &str) -> (bool, String) {
    tokio::task::block_in_place(|| {
        let mut child = program(house.dir())
            .arg("staff")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Who lists reads nothing.
        let _ = child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes());
        let out = child.wait_with_output().unwrap();
        let said = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8(said).unwrap())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_resets_whoever_cannot_come_in_and_lists_the_staff() {
    let house = strict().await;
    hire(&house, "王敏", Role::Admin).await;
    let wang = at_the_door(&house, "王敏").await;
    enrols(&house, &wang).await;
    let (_, listed) = xinqi_staff(&house, &["list"], "");
    assert!(listed.contains("王敏\t管理员\t不分部门\t有第二验证\t上次登录 2026-11-24 10:00"), "{listed}");
    let (done, said) = xinqi_staff(&house, &["reset", "无名", "--password-stdin"], OTHER_PASSWORD);
    assert!(!done && said.contains("没有叫“无名”的人员"), "{said}");
    let (done, said) = xinqi_staff(&house, &["reset", "王敏", "--password-stdin"], "short");
    assert!(!done && said.contains("至少 10 个字符"), "{said}");
    wang.page("/console").await;
    let (done, said) = xinqi_staff(&house, &["reset", "王敏", "--password-stdin"], OTHER_PASSWORD);
    assert!(done && said.contains("已重置：王敏"), "{said}");
    assert_eq!(leads_to(&wang.get("/console").await), (303, Some("/console/login")));
    assert!(house.store().sessions_of("王敏").await.unwrap().is_empty());
    assert_eq!(house.visitor().login("王敏", PASSWORD).await.status, 401);
    let mut again = house.visitor();
    assert_eq!(leads_to(&again.login("王敏", OTHER_PASSWORD).await), (303, Some(FACTOR)));
    let (phone, _) = enrols(&house, &again).await;

    // Another password by hand leaves the second factor alone.
    let (done, said) = xinqi_staff(&house, &["add", "王敏", "--role", "admin", "--password-stdin"], PASSWORD);
    assert!(done && said.contains("已更新"), "{said}");
    house.after(STEP).await;
    let mut wang = at_the_door(&house, "王敏").await;
    assert_eq!(gives(&mut wang, &phone.shows(&house, 0)).await.status, 303);
    let (done, said) = xinqi_staff(&house, &["add", "王敏", "--role", "agent", "--password-stdin"], PASSWORD);
    assert!(!done && said.contains("最后一位管理员"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_service_the_store_itself_is_reset() {
    let dir = tempfile::tempdir().unwrap();
    assert!(crate::process::staff_add(dir.path(), "王敏", "viewer", PASSWORD).status.success());
    let reset = tokio::task::block_in_place(|| {
        let mut child = program(dir.path())
            .args(["staff", "reset", "王敏", "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(format!("{OTHER_PASSWORD}\n").as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    });
    assert!(reset.status.success());
    let listed = program(dir.path()).args(["staff", "list"]).output().unwrap();
    assert!(String::from_utf8(listed.stdout).unwrap().contains("王敏\t只读\t不分部门\t无第二验证\t没登录过"));
    let store = xinqi::store::SledStore::open(dir.path()).unwrap();
    let staff = xinqi::store::Store::staff(&store, "王敏").await.unwrap().unwrap();
    assert!(staff.knows(OTHER_PASSWORD) && !staff.knows(PASSWORD));
}
