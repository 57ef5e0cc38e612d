//! Many clients, and one order.

use std::{collections::BTreeMap, sync::Arc};

use paired_mls_api::{Access, GroupId, LogEntry, LogPage, ProblemKind, path};
use tokio::{
    sync::Barrier,
    task::{JoinHandle, JoinSet},
};

use crate::{
    backend::{Backend, Replica},
    device::Device,
    messages::*,
    subscriptions::Reader,
};

const CLIENTS: usize = 16;
const EPOCHS: u64 = 200;

/// Each client wants to end each epoch; half of them talk to one replica, half to the other.
async fn race(replicas: Vec<Replica>) {
    let alice = Device::registered(&replicas[0], "alice").await;
    let group = new_group(&replicas[0], &alice, Access::Roster).await;
    let mut clients = vec![alice.clone()];
    for n in 1..CLIENTS {
        let name = format!("client{n}");
        clients.push(Device::registered(&replicas[n % replicas.len()], &name).await);
    }
    let others: Vec<_> = clients.iter().collect();
    win(&replicas[0], &alice, &group, &adding(&group, 0, &others)).await;

    let subscribers: Vec<_> = (0..CLIENTS)
        .map(|n| subscribe(&replicas[n % replicas.len()], &clients[n], &group))
        .collect();
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let mut tasks = JoinSet::new();
    for (n, client) in clients.into_iter().enumerate() {
        let replica = replicas[n % replicas.len()].clone();
        tasks.spawn(commit_always(replica, client, group.clone(), barrier.clone()));
    }
    let mut winners: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    for (epoch, commit) in tasks.join_all().await.into_iter().flatten() {
        winners.entry(epoch).or_default().push(commit);
    }
    assert!(winners.keys().copied().eq(1..=EPOCHS), "no gap");
    assert!(winners.values().all(|winners| winners.len() == 1), "one winner each");

    let mut log = Vec::new();
    while (log.len() as u64) < EPOCHS + 1 {
        let after = log.len();
        let path = format!("{}?after={after}", path::of_group(path::GROUP_MESSAGES, &group));
        let page: LogPage = alice.get(&replicas[0], &path).await.json(200);
        log.extend(page.entries);
    }
    for (n, entry) in log.iter().enumerate() {
        assert_eq!((entry.position, entry.epoch), (n as u64 + 1, n as u64));
        if let Some(winner) = winners.get(&entry.epoch) {
            assert_eq!(winner[0], entry.message.0);
        }
    }
    for subscriber in subscribers {
        assert_eq!(subscriber.await.unwrap(), log, "every subscriber sees the same order");
    }
}

async fn commit_always(
    replica: Replica,
    client: Device,
    group: GroupId,
    barrier: Arc<Barrier>,
) -> Vec<(u64, Vec<u8>)> {
    let mut won = Vec::new();
    for epoch in 1..=EPOCHS {
        barrier.wait().await;
        let commit = publish(&group, epoch);
        let answer = send(&replica, &client, &group, &commit).await;
        if answer.status == 201 {
            won.push((epoch, commit.commit.0));
        } else {
            let problem = answer.problem(ProblemKind::WrongEpoch);
            assert_eq!(problem.current_epoch, Some(epoch + 1));
        }
    }
    won
}

fn subscribe(replica: &Replica, client: &Device, group: &GroupId) -> JoinHandle<Vec<LogEntry>> {
    let (replica, client, group) = (replica.clone(), client.clone(), group.clone());
    tokio::spawn(async move {
        let mut reader = Reader::log(&replica, &client, &group, 0).await;
        let mut seen = Vec::new();
        while (seen.len() as u64) < EPOCHS + 1 {
            seen.push(reader.next().await.expect("another entry").read());
        }
        seen
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_clients_race_on_sqlite() {
    let backend = Backend::sqlite();
    race(vec![backend.replica().await]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_clients_race_on_two_replicas_of_postgresql() {
    if let Some(backend) = Backend::postgres() {
        race(vec![backend.replica().await, backend.replica().await]).await;
    }
}
