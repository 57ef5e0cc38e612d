//! Numbers that nobody means: too great, beyond the end, zero.

use paired_mls_api::{Access, CreateGroup, MailboxPage, ProblemKind, path};

use crate::{
    backend::{Backend, on_both},
    device::Device,
    messages::*,
    subscriptions::Reader,
};

on_both!(
    numbers_that_fit_no_column_are_to_blame_on_the_request,
    a_position_beyond_the_end_is_said,
    a_page_of_nothing_is_refused,
);

/// The least number that no column holds, and the greatest of all.
const TOO_GREAT: [u64; 2] = [1 << 63, u64::MAX];

async fn numbers_that_fit_no_column_are_to_blame_on_the_request(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let group = new_group(&replica, &alice, Access::Anyone).await;
    let messages = path::of_group(path::GROUP_MESSAGES, &group);
    for number in TOO_GREAT {
        let created = CreateGroup {
            group: alice.new_group_id(),
            epoch: number,
            access: Access::Roster,
            group_info: None,
        };
        alice.post(&replica, path::GROUPS, &created).await.problem(ProblemKind::Malformed);
        let commit = publish(&group, number);
        send(&replica, &alice, &group, &commit).await.problem(ProblemKind::Malformed);
    }
    for number in TOO_GREAT {
        let message = application(&group, number);
        alice.post_mls(&replica, &messages, &message).await.problem(ProblemKind::Malformed);
    }
}

async fn a_position_beyond_the_end_is_said(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let partner = alice.sibling(&replica).await;
    let group = new_group(&replica, &alice, Access::Roster).await;
    win(&replica, &alice, &group, &publish(&group, 0)).await;
    let of_group = |path| path::of_group(path, &group);
    let items: MailboxPage = partner.get(&replica, path::MAILBOX).await.json(200);
    let item = items.items[0].position;
    for (path, head) in [
        (of_group(path::GROUP_MESSAGES), 1),
        (of_group(path::GROUP_EVENTS), 1),
        (path::MAILBOX.to_owned(), item),
        (path::MAILBOX_EVENTS.to_owned(), item),
    ] {
        for number in TOO_GREAT {
            let answer = partner.get(&replica, &format!("{path}?after={number}")).await;
            answer.problem(ProblemKind::Malformed);
        }
        for after in [head + 1, i64::MAX as u64] {
            let answer = partner.get(&replica, &format!("{path}?after={after}")).await;
            assert_eq!(answer.problem(ProblemKind::Beyond).head, Some(head), "{path} {after}");
        }
    }
    for (path, head) in [(of_group(path::GROUP_MESSAGES), 1), (path::MAILBOX.to_owned(), item)] {
        assert_eq!(partner.get(&replica, &format!("{path}?after={head}")).await.status, 200);
    }
    for through in [item + 1, i64::MAX as u64] {
        let path = format!("{}?through={through}", path::MAILBOX);
        let answer = partner.delete(&replica, &path).await;
        assert_eq!(answer.problem(ProblemKind::Beyond).head, Some(item));
    }
    // Nothing was dropped.
    let mut mailbox = match Reader::open(&replica, &partner, path::MAILBOX_EVENTS, None).await {
        Ok(reader) => reader,
        Err(answer) => panic!("{}", answer.status),
    };
    assert_eq!(mailbox.take(1).await, [(item, "item".to_owned())]);
}

async fn a_page_of_nothing_is_refused(backend: Backend) {
    let replica = backend.replica().await;
    let alice = Device::registered(&replica, "alice").await;
    let path = format!("{}?limit=0", path::MAILBOX);
    alice.get(&replica, &path).await.problem(ProblemKind::Malformed);
}
