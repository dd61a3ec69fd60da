//! Every promise of `Store` about staff, sessions and secrets, on every store there is.

use crate::store_contract::{later, stores};
use tokio::task::JoinSet;
use xinqi::staff::{Role, Staff};
use xinqi::store::{Session, SledStore, Store};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_prolonged_ended_and_forgotten() {
    let session = |ends, dies| Session {
        staff: "王敏".into(),
        mark: [7; 16],
        ends_at: later(ends),
        dies_at: later(dies),
    };
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
