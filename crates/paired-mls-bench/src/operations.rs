//! What is measured in a group: each operation of a paired device beside what stock OpenMLS does on the
//! same state with the same cryptography.

use paired_mls_openmls::Group;

use crate::{
    Failure,
    measure::{Comparison, Side, Taken, interleave, time},
    member::{GROUP_ID, Member},
    place::Place,
    town::{LeafTown, NodeTown},
};

/// How often, and how far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// How many commits a device is behind that catches up.
    pub(crate) behind: usize,
}

/// With the anchor at a node.
pub(crate) fn node<S: Place>(
    town: &NodeTown<S>,
    effort: Effort,
) -> Result<Vec<Comparison>, Failure> {
    let (ordinary, paired) = (stock_chain(&town.phone, 1)?, paired_chain(&town.phone, 1)?);
    let mut rows =
        interleave(effort.rounds, || stock_send(&town.phone), || paired_send(&town.phone))?;
    rows.extend(interleave(
        effort.rounds,
        || stock_follow("process", &town.sensor, &ordinary),
        || paired_follow("process", &town.sensor, &paired),
    )?);
    if effort.behind > 0 {
        let ordinary = stock_chain(&town.phone, effort.behind)?;
        let paired = paired_chain(&town.phone, effort.behind)?;
        rows.extend(interleave(
            effort.rounds.div_ceil(10),
            || stock_follow("catch-up", &town.sensor, &ordinary),
            || paired_follow("catch-up", &town.sensor, &paired),
        )?);
    }
    Ok(rows)
}

/// With a shared leaf.
pub(crate) fn leaf<S: Place>(
    town: &LeafTown<S>,
    effort: Effort,
) -> Result<Vec<Comparison>, Failure> {
    let others = stock_chain(&town.other, 1)?;
    let mut rows =
        interleave(effort.rounds, || stock_send(&town.phone), || paired_send(&town.phone))?;

    let update = paired_chain(&town.phone, 1)?;
    let stolen = stock_chain(&town.phone, 1)?;
    let ordinary = |name| {
        let others = &others;
        move || stock_follow(name, &town.sensor, others)
    };
    rows.extend(interleave(effort.rounds, ordinary("process"), || {
        paired_follow("process", &town.sensor, &others)
    })?);
    rows.extend(interleave(effort.rounds, ordinary("follow"), || {
        paired_follow("follow", &town.sensor, &update)
    })?);
    // What a thief of the leaf's keys makes: it is not from the tape.
    rows.extend(interleave(effort.rounds, ordinary("forged"), || {
        let copy = town.sensor.copy()?;
        let mut group = Group::load(&copy.device, GROUP_ID)?;
        let commit = stolen.first().ok_or("a commit of a thief")?;
        let (timed, ()) = time(Side::Paired, "forged", || {
            // Refused, or an alarm: both are what is measured.
            let _ = group.process(&copy.device, &commit.commit);
            Ok(())
        })?;
        Ok(vec![timed])
    })?);
    Ok(rows)
}

/// A commit, and what goes to the partner ahead of it.
struct Sent {
    notify: Option<Vec<u8>>,
    commit: Vec<u8>,
}

impl Sent {
    fn commit(commit: Vec<u8>) -> Self {
        Self { notify: None, commit }
    }
}

fn stock_send<S: Place>(phone: &Member<S>) -> Result<Taken, Failure> {
    let copy = phone.copy()?;
    let (load, mut group) = time(Side::Ordinary, "load", || copy.stock())?;
    let (commit, _) = time(Side::Ordinary, "commit", || copy.stock_commit(&mut group))?;
    let (confirm, ()) = time(Side::Ordinary, "confirm", || copy.stock_merge(&mut group))?;
    Ok(vec![load, commit, confirm])
}

fn paired_send<S: Place>(phone: &Member<S>) -> Result<Taken, Failure> {
    let copy = phone.copy()?;
    let (load, mut group) =
        time(Side::Paired, "load", || Ok(Group::load(&copy.device, GROUP_ID)?))?;
    let (commit, _) = time(Side::Paired, "commit", || Ok(group.update(&copy.device)?))?;
    let (confirm, _) = time(Side::Paired, "confirm", || Ok(group.confirm(&copy.device)?))?;
    Ok(vec![load, commit, confirm])
}

/// `count` commits of a stock member on this state, one after the other.
fn stock_chain<S: Place>(member: &Member<S>, count: usize) -> Result<Vec<Sent>, Failure> {
    let copy = member.copy()?;
    let mut group = copy.stock()?;
    let mut made = Vec::new();
    for _ in 0..count {
        made.push(Sent::commit(copy.stock_commit(&mut group)?));
        copy.stock_merge(&mut group)?;
    }
    Ok(made)
}

fn paired_chain<S: Place>(phone: &Member<S>, count: usize) -> Result<Vec<Sent>, Failure> {
    let copy = phone.copy()?;
    let mut group = Group::load(&copy.device, GROUP_ID)?;
    let mut made = Vec::new();
    for _ in 0..count {
        let sent = group.update(&copy.device)?;
        made.push(Sent { notify: sent.notify, commit: sent.commit });
        group.confirm(&copy.device)?;
    }
    Ok(made)
}

fn stock_follow<S: Place>(
    name: &'static str,
    member: &Member<S>,
    messages: &[Sent],
) -> Result<Taken, Failure> {
    let copy = member.copy()?;
    let mut group = copy.stock()?;
    let (timed, ()) = time(Side::Ordinary, name, || {
        messages.iter().try_for_each(|sent| copy.stock_process(&mut group, &sent.commit))
    })?;
    Ok(vec![timed])
}

fn paired_follow<S: Place>(
    name: &'static str,
    sensor: &Member<S>,
    messages: &[Sent],
) -> Result<Taken, Failure> {
    let copy = sensor.copy()?;
    let mut group = Group::load(&copy.device, GROUP_ID)?;
    let (timed, ()) = time(Side::Paired, name, || {
        for sent in messages {
            if let Some(notify) = &sent.notify {
                group.process(&copy.device, notify)?;
            }
            group.process(&copy.device, &sent.commit)?;
        }
        Ok(())
    })?;
    Ok(vec![timed])
}
