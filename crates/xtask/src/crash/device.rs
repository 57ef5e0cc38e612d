//! One device, which may die at any moment and begins again from its files.

use std::fs;

use openmls::prelude::{Capabilities, Lifetime};
use paired_mls::{
    Secret,
    pairing::{
        AnchorKind as PairingAnchor, BookError, PairingBook, PairingState, Progress, Request,
        Route, Source, Terms,
    },
};
use paired_mls_openmls::{Group, PackageKind, is_key_pair};

use super::{
    AnchorKind,
    files::{FileDevice, Home, NAMES, Round, crypto, get, letters, put},
    member::{self, Partner, key_package},
    pause,
};
use crate::Failure;

/// In every so many epochs the devices let each other renew their leaves.
const EPOCHS_PER_REFRESH: u64 = 4;

/// What a device does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// It follows what is there, and commits for ever.
    Live,
    /// It follows, and writes down where it is.
    Finish,
}

/// Lives as a device, until it is killed or has finished.
pub(super) fn live(home: &Home, errand: Errand) -> Result<(), Failure> {
    let mut device = home.open()?;
    let mut begun = Round::all(&home.folder);
    if errand == Errand::Live {
        begun.drain(..begun.len().saturating_sub(1));
    }
    loop {
        for round in &begun {
            let terms = pair(home, &device, round)?;
            if home.kind.anchor == AnchorKind::Leaf {
                device = device.with_shared_leaf(round.pairing());
            }
            let mut member = enter(home, &device, round, &terms)?;
            loop {
                let idle = turn(home, &device, round, &mut member, errand)?;
                if idle && errand == Errand::Finish {
                    let state = format!(
                        "{} {:?}",
                        member.epoch(),
                        member.mls().epoch_authenticator().as_slice()
                    );
                    home.finish(round, &state)?;
                    break;
                }
                if errand == Errand::Live
                    && Round::new(&home.folder, round.number + 1).seed().exists()
                {
                    break;
                }
            }
        }
        if errand == Errand::Finish {
            return Ok(());
        }
        begun = Round::all(&home.folder).split_off(begun.last().map_or(0, |last| last.number + 1));
    }
}

/// Pairs by the protocol, from wherever it was interrupted.
fn pair(home: &Home, device: &FileDevice, round: &Round) -> Result<Terms, Failure> {
    let book = PairingBook::new(device.vault(), home.party()?);
    let (pairing, anchor) = (
        round.pairing(),
        match home.kind.anchor {
            AnchorKind::Node => PairingAnchor::Node,
            AnchorKind::Leaf => PairingAnchor::Leaf,
        },
    );
    match book.resend(pairing) {
        Ok(progress) => post(home, round, progress)?,
        Err(BookError::NoSuchPairing(_)) => {
            let seed = Secret::new(fs::read(round.seed())?);
            post(home, round, book.load_seed(home.roster(pairing)?, &seed)?)?;
        }
        Err(error) => return Err(error.into()),
    }
    loop {
        match book.load(pairing)? {
            PairingState::Paired(paired) => return Ok(paired.terms().clone()),
            PairingState::Seeded(_) if home.device == 0 => {
                post(home, round, book.initiate(pairing, Request::Standard(anchor))?)?;
            }
            _ => {}
        }
        for (path, sender, letter) in letters(&round.mail(home.name()))? {
            let source = if sender == "directory" { Source::Directory } else { Source::Relay };
            let crypto = crypto();
            match book.receive(source, &letter, &|suite, pair| is_key_pair(&crypto, suite, pair)) {
                Ok(progress) => post(home, round, progress)?,
                // It came a second time, or too late.
                Err(BookError::Pairing(_)) => {}
                Err(error) => return Err(error.into()),
            }
            fs::remove_file(path)?;
        }
        pause();
    }
}

fn post(home: &Home, round: &Round, progress: Progress) -> Result<(), Failure> {
    for outbound in progress.send {
        let to = match &outbound.route {
            Route::Directory => vec!["directory"],
            Route::Partners(partners) => {
                let name = |device: u16| NAMES.get(usize::from(device)).copied();
                partners.iter().filter_map(|device| name(device.0)).collect()
            }
            other => return Err(format!("nobody can carry {other:?}").into()),
        };
        let message = outbound.message.expose();
        // The type of the message stands behind the version: what is sent again replaces what was sent.
        let kind = message.get(1).copied().unwrap_or_default();
        for to in to {
            put(&round.mail(to).join(format!("{}-{kind}.letter", home.name())), message)?;
        }
    }
    Ok(())
}

/// Comes into the group by its Welcome, from wherever it was interrupted.
fn enter(home: &Home, device: &FileDevice, round: &Round, terms: &Terms) -> Result<Group, Failure> {
    let (anchor, pairing) = (home.kind.anchor, round.pairing());
    let loaded = member::load(device, &round.group_id())?;
    let mut group = match loaded {
        Some(group) => group,
        None => {
            let own = round.key_package(home.name());
            let [first, _] = NAMES;
            while !own.exists() {
                let partner = match home.device {
                    0 => Partner::IsLater,
                    _ => Partner::Published(get(&round.key_package(first))?),
                };
                match key_package(anchor, device, pairing, partner)? {
                    Some(package) => put(&own, &package)?,
                    None => pause(),
                }
            }
            let welcome = loop {
                match get(&round.welcome())? {
                    Some(welcome) => break welcome,
                    None => pause(),
                }
            };
            member::join(device, &welcome)?
        }
    };
    group.pair(device, &terms.pairing())?;
    put(&round.has_entered(home.name()), &[])?;
    Ok(group)
}

/// Follows the commit of the epoch if there is one, and makes one otherwise. Returns whether there was
/// nothing to follow.
fn turn(
    home: &Home,
    device: &FileDevice,
    round: &Round,
    group: &mut Group,
    errand: Errand,
) -> Result<bool, Failure> {
    let epoch = group.epoch();
    let partner = NAMES.get(1 - home.device).copied().unwrap_or_default();
    if let Some(commit) = round.commit_of(epoch)? {
        if let Some(notify) = get(&round.notify_of(epoch, partner))? {
            group.process(device, &notify)?;
        }
        // Its own or the partner's: also after a death in the middle.
        member::follow(group, device, &commit, get(&round.welcome_of(epoch, partner))?)?;
        return Ok(false);
    }
    if group.pending_index().is_some() {
        // It died before it had offered the commit: nobody has seen it.
        group.discard(device)?;
    }
    if errand == Errand::Finish {
        return Ok(true);
    }
    let own = round.refresh_of(epoch, home.name());
    if epoch.is_multiple_of(EPOCHS_PER_REFRESH) && !own.exists() && group.node().is_some() {
        let (lifetime, capabilities) = (Lifetime::default(), Capabilities::default());
        put(
            &own,
            &Group::publish(device, round.pairing(), PackageKind::Once, lifetime, capabilities)?,
        )?;
    }
    let published = get(&round.refresh_of(epoch, partner))?;
    let renews = published.is_some();
    let sent = member::commit(group, device, published)?;
    let index = group.pending_index().ok_or("a paired commit has an index")?;
    home.write_down(&format!("{} {index}", round.number))?;
    if let Some(notify) = &sent.notify {
        put(&round.notify_of(epoch, home.name()), notify)?;
    }
    if let Some(welcome) = sent.refresh.filter(|_| renews) {
        put(&round.welcome_of(epoch, home.name()), &welcome)?;
    }
    if round.offer(epoch, &sent.commit, home.name())? {
        group.confirm(device)?;
    }
    pause();
    Ok(true)
}
