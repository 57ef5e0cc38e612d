//! The service has ended what nobody used.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use paired_mls_service::{AppState, Clock, Config, Limits, SystemClock};

use crate::world::{World, agree, settle};

/// A clock that is ahead.
struct Ahead(AtomicU64);

impl Clock for Ahead {
    fn now(&self) -> u64 {
        SystemClock.now() + self.0.load(Ordering::SeqCst)
    }
}

/// What the service does by itself when as many days have gone by, with limits that are changed like this.
fn days_later(world: &World, days: u64, change: impl FnOnce(&mut Limits)) {
    let database = format!("sqlite://{}", world.folder().join("service.db").display());
    let mut config = Config::new(([127, 0, 0, 1], 0).into(), database);
    change(&mut config.limits);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let clock = Arc::new(Ahead(AtomicU64::new(0)));
        let state = AppState::open(&config, clock.clone()).await.unwrap();
        for _ in 0..=days {
            state.sweep().await.unwrap();
            clock.0.fetch_add(24 * 60 * 60, Ordering::SeqCst);
        }
        state.close().await;
    });
}

/// A device that comes back after years is told that its group has ended, and then that its account has, and why; and what it
/// is told to do, works.
#[test]
fn who_comes_back_after_years_is_told_what_has_ended() {
    let mut world = World::new();
    let [alice, bob] = world.family();
    settle(&[&alice, &bob]);
    world.kill();
    days_later(&world, 12, |limits| {
        limits.group_unread_days = Some(10);
        limits.user_days = None;
    });
    world.restart();
    for command in [&["sync"][..], &["update", "family"], &["group", "send", "family", "hello?"]] {
        let (code, error) = alice.fails(command);
        assert_eq!(code, 3, "{error}");
        assert!(error.contains("the service has ended family, because nobody read it"), "{error}");
        assert!(error.contains("`pmls group create`"), "{error}");
    }
    alice.run(&["group", "forget", "family", "--still-in"]);
    alice.sync();

    world.kill();
    // The last of their KeyPackages ends after 84 days.
    days_later(&world, 90, |limits| limits.user_days = Some(10));
    world.restart();
    for device in [&alice, &bob] {
        let (_, error) = device.fails(&["sync"]);
        assert!(error.contains("no device of the account made a request"), "{error}");
        assert!(error.contains("register this device again"), "{error}");
        device.run(&["device", "register"]);
        device.run(&["device", "publish", "--count", "8"]);
    }
    let (_, error) = bob.fails(&["sync"]);
    assert!(error.contains("the service has ended family"), "{error}");
    bob.run(&["group", "forget", "family", "--still-in"]);
    alice.run(&["group", "create", "again"]);
    alice.run(&["group", "add", "again", "bob"]);
    bob.sync();
    bob.call_it("again");
    settle(&[&alice, &bob]);
    agree(&[&alice, &bob], "again");
}
