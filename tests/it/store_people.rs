//! Every promise of `Store` about staff, sessions and secrets, on every store there is.

use crate::store_contract::{later, stores};
use tokio::task::JoinSet;
use xinqi::clock::Timestamp;
use xinqi::staff::{NewPassword, Role, Staff};
use xinqi::store::{Changed, Session, SledStore, StaffChange, Store};

#[tokio::test(flavor = "multi_thread")]
async fn of_two_first_administrators_one_is_taken_on() {
    let hired = |name: &str, role| Staff::new(name, role, None, "correct horse", [7; 16]).unwrap();
    for (_dir, store) in stores() {
        assert!(store.all_staff().await.unwrap().is_empty());
        let mut together = JoinSet::new();
        for name in ["甲", "乙", "丙", "丁"] {
            let (store, staff) = (store.clone(), hired(name, Role::Admin));
            together.spawn(async move { store.put_staff(&staff, true).await.unwrap() });
        }
        assert_eq!(together.join_all().await.iter().filter(|taken| **taken).count(), 1);
        assert_eq!(store.all_staff().await.unwrap().len(), 1);
        assert!(store.put_staff(&hired("王敏", Role::Agent), false).await.unwrap());
        assert!(store.put_staff(&hired("王敏", Role::Admin), false).await.unwrap(), "changed");
        assert!(!store.put_staff(&hired("戊", Role::Admin), true).await.unwrap());
        assert_eq!(store.staff("王敏").await.unwrap().unwrap().role, Role::Admin);
        assert!(store.staff("戊").await.unwrap().is_none());
        assert_eq!(store.all_staff().await.unwrap().len(), 2);
    }
}

fn session(staff: &str, ends: u64, dies: u64) -> Session {
    Session {
        staff: staff.into(),
        mark: [7; 16],
        begun_at: later(0),
        used_at: later(0),
        address: [203, 0, 113, 9].into(),
        browser: "Chrome · Windows".into(),
        ends_at: later(ends),
        dies_at: later(dies),
    }
}

fn role_is(role: Role) -> StaffChange {
    Box::new(move |staff| {
        staff.role = role;
        true
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_sees_somebody_as_they_stand_and_one_administrator_stays() {
    let hired = |name: &str, role| Staff::new(name, role, None, "correct horse", [7; 16]).unwrap();
    for (dir, store) in stores() {
        for name in ["甲", "乙", "丙"] {
            store.put_staff(&hired(name, Role::Admin), false).await.unwrap();
        }
        assert_eq!(store.change_staff("丁", None, role_is(Role::Agent)).await.unwrap(), Changed::Nobody);
        assert_eq!(store.change_staff("甲", None, Box::new(|_| false)).await.unwrap(), Changed::Unfit);
        let mut together = JoinSet::new();
        for name in ["甲", "乙", "丙"] {
            let store = store.clone();
            together
                .spawn(async move { store.change_staff(name, None, role_is(Role::Agent)).await.unwrap() });
        }
        let mut done = together.join_all().await;
        done.sort_by_key(|changed| *changed == Changed::LastAdmin);
        assert_eq!(done, [Changed::Done, Changed::Done, Changed::LastAdmin]);
        assert_eq!(store.all_staff().await.unwrap().iter().filter(|staff| staff.is_admin()).count(), 1);

        // Of two that look and change at once, the second sees what the first did.
        let mut together = JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            let count = |staff: &mut Staff| {
                let n = staff.last_login.map_or(0, |at| at.0);
                staff.last_login = Some(Timestamp(n + 1));
                true
            };
            together.spawn(async move { store.change_staff("甲", None, Box::new(count)).await.unwrap() });
        }
        together.join_all().await;
        drop(store);
        let again = SledStore::open(dir.path()).unwrap();
        assert_eq!(again.staff("甲").await.unwrap().unwrap().last_login, Some(Timestamp(20)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_another_password_all_sessions_end_but_the_one_that_goes_on() {
    for (_dir, store) in stores() {
        let staff = Staff::new("王敏", Role::Agent, None, "correct horse", [7; 16]).unwrap();
        store.put_staff(&staff, false).await.unwrap();
        for (n, name) in [(1, "王敏"), (2, "王敏"), (3, "李强")] {
            let begun = Session { mark: staff.mark(), ..session(name, 10, 100) };
            store.put_session(&[n; 32], &begun).await.unwrap();
        }
        let seen_before = store.session(&[1; 32]).await.unwrap().unwrap();
        let takes = |password: &str| -> StaffChange {
            let password = NewPassword::new(password, [8; 16]).unwrap();
            Box::new(move |staff| {
                staff.set_password(password);
                true
            })
        };
        let changed = store.change_staff("王敏", Some([1; 32]), takes("another password")).await.unwrap();
        assert_eq!(changed, Changed::Done);
        let mark = store.staff("王敏").await.unwrap().unwrap().mark();
        assert_ne!(mark, staff.mark());
        assert_eq!(store.session(&[1; 32]).await.unwrap().unwrap().mark, mark);
        assert_eq!(store.session(&[2; 32]).await.unwrap(), None);
        assert!(store.session(&[3; 32]).await.unwrap().is_some(), "a colleague's");
        store.prolong_session(&[1; 32], &Session { ends_at: later(50), ..seen_before }).await.unwrap();
        let prolonged = store.session(&[1; 32]).await.unwrap().unwrap();
        assert_eq!(
            (prolonged.mark, prolonged.ends_at),
            (mark, later(50)),
            "who looked before takes nothing back"
        );
        store.change_staff("王敏", None, takes("a third password")).await.unwrap();
        assert_eq!(store.session(&[1; 32]).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebodys_sessions_are_listed_and_end_together() {
    for (_dir, store) in stores() {
        for (n, name) in [(1, "王敏"), (2, "王敏"), (3, "李强"), (4, "王敏")] {
            store.put_session(&[n; 32], &session(name, 10, 100)).await.unwrap();
        }
        let listed = async |name: &str| {
            let mut all: Vec<u8> =
                store.sessions_of(name).await.unwrap().iter().map(|(token, _)| token[0]).collect();
            all.sort_unstable();
            all
        };
        assert_eq!((listed("王敏").await, listed("李强").await), (vec![1, 2, 4], vec![3]));
        store.end_sessions_of("王敏", Some([2; 32])).await.unwrap();
        assert_eq!((listed("王敏").await, listed("李强").await), (vec![2], vec![3]));
        store.end_sessions_of("王敏", None).await.unwrap();
        assert_eq!((listed("王敏").await, listed("李强").await), (vec![], vec![3]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_prolonged_ended_and_forgotten() {
    let session = |ends, dies| session("王敏", ends, dies);
    for (_dir, store) in stores() {
        assert_eq!(store.session(&[1; 32]).await.unwrap(), None);
        store.put_session(&[1; 32], &session(10, 100)).await.unwrap();
        store.put_session(&[1; 32], &session(20, 100)).await.unwrap();
        assert_eq!(store.session(&[1; 32]).await.unwrap(), Some(session(20, 100)));
        store.end_session(&[1; 32]).await.unwrap();
        assert_eq!(store.session(&[1; 32]).await.unwrap(), None);
        store.prolong_session(&[1; 32], &session(30, 100)).await.unwrap();
        assert_eq!(store.session(&[1; 32]).await.unwrap(), None, "what has been ended is not revived");
        for (token, ends, dies) in [(2, 50, 100), (3, 60, 55), (4, 90, 100)] {
            store.put_session(&[token; 32], &session(ends, dies)).await.unwrap();
        }
        store.forget_before(later(56)).await.unwrap();
        for (token, kept) in [(2, false), (3, false), (4, true)] {
            assert_eq!(store.session(&[token; 32]).await.unwrap().is_some(), kept, "{token}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_made_once_and_kept_under_its_name() {
    for (dir, store) in stores() {
        assert_eq!(store.secret("a", [1; 32]).await.unwrap(), [1; 32]);
        assert_eq!(store.secret("a", [2; 32]).await.unwrap(), [1; 32]);
        assert_eq!(store.secret("b", [2; 32]).await.unwrap(), [2; 32]);
        store.rewrite(later(1)).await.unwrap();
        drop(store);
        let again = SledStore::open(dir.path()).unwrap();
        assert_eq!(again.secret("a", [3; 32]).await.unwrap(), [1; 32]);
    }
}
