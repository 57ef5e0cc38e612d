//! The refresh chain: KeyPackages for windows that follow one another, made ahead for years.
//!
//! ```text
//! passive   missing, publish for each ─── RefreshChain ───►  adopt_chain           active
//!           …                                                provisions: until when
//!           process_refresh ◄── commit, Welcome with a tag ─── refresh, in the window of the next one
//! ```

use alloc::{collections::BTreeMap, vec::Vec};

use paired_mls::{
    DeviceId, PairingId, Vault, VaultError,
    leaf::{
        ChainError, Held, LeafPackage, LeafPackages, LeafRandomness, LeafUse, MAX_CHAIN,
        PACKAGES_GROUP_ID,
    },
    wire::{KeyPackage, LeafNodeSource},
};

use super::{is_made_with, read};
use crate::{Error, Library, PeerError};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// How long a window is, in seconds: with more, some members would not take the KeyPackage.
pub const WINDOW: u64 = 84 * DAY;

/// How long before the end of a window the next one begins, in seconds: the time that a partner has for each renewal.
pub const OVERLAP: u64 = 14 * DAY;

/// How many windows there are ahead: they end after 1,974 days, five years and almost five months.
pub const WINDOWS: u64 = 28;

/// By how much the clock of a device may be ahead of those of others, in seconds.
const SKEW: u64 = HOUR;

/// How many KeyPackages of one partner are kept: two chains, as long as they may be.
const MAX_KEPT: usize = 2 * MAX_CHAIN;

const STRIDE: u64 = WINDOW - OVERLAP;
const SPAN: u64 = (WINDOWS - 1) * STRIDE + WINDOW;

/// The lifetime of a KeyPackage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The first second, since 1970.
    pub not_before: u64,
    /// The end, in seconds since 1970.
    pub not_after: u64,
}

impl Window {
    /// That of a KeyPackage; `None` if its leaf is of no KeyPackage.
    pub fn of(key_package: &KeyPackage) -> Option<Self> {
        match key_package.leaf_node().source() {
            LeafNodeSource::KeyPackage(lifetime) => {
                Some(Self { not_before: lifetime.not_before(), not_after: lifetime.not_after() })
            }
            _ => None,
        }
    }

    pub(crate) fn of_package(package: &LeafPackage) -> Option<Self> {
        Self::of(&read(&package.key_package).ok()?)
    }

    /// Whether a time is in it.
    pub fn contains(self, time: u64) -> bool {
        (self.not_before..self.not_after).contains(&time)
    }

    /// The windows from now on that follow on `last`, the newest one that there is; none as long as there is no room for a
    /// whole one.
    pub fn ahead(last: Option<Self>, now: u64) -> Vec<Self> {
        let last = last.filter(|last| last.not_after > now);
        let first = last.map_or_else(|| Self::first(now), Self::next);
        let all = core::iter::successors(Some(first), |window| Some(window.next()));
        all.take_while(|window| window.not_after <= now.saturating_add(SPAN)).collect()
    }

    /// The window of the usual length that has this end.
    pub fn until(not_after: u64) -> Self {
        Self { not_before: not_after.saturating_sub(WINDOW), not_after }
    }

    fn first(now: u64) -> Self {
        let not_before = now.saturating_sub(SKEW);
        Self { not_before, not_after: not_before.saturating_add(WINDOW) }
    }

    fn next(self) -> Self {
        let not_before = self.not_after.saturating_sub(OVERLAP);
        Self { not_before, not_after: not_before.saturating_add(WINDOW) }
    }
}

/// The windows for which this device has to make KeyPackages, so that `partner` has `width` of each from now on.
///
/// It is decided from the KeyPackages that are there, so that a chain whose making was interrupted is gone on with, and
/// an old one is made longer. What is used of a window that has begun is not made again.
///
/// ```text
/// windows(n) = [begin + n * 70 days, begin + n * 70 days + 84 days)       n = 0 … 27
/// ```
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn missing(
    vault: &Vault,
    pairing: PairingId,
    partner: DeviceId,
    width: usize,
    now: u64,
) -> Result<Vec<Window>, Error> {
    let mut there = BTreeMap::<Window, usize>::new();
    for package in chain_for(vault, pairing, partner, now)? {
        if let Some(window) = Window::of_package(&package) {
            *there.entry(window).or_default() += 1;
        }
    }
    let width = width.clamp(1, MAX_CHAIN / WINDOWS as usize);
    let mut windows = Vec::new();
    for (window, count) in there.iter().filter(|(window, _)| window.not_before > now) {
        windows.extend(core::iter::repeat_n(*window, width.saturating_sub(*count)));
    }
    let last = there.keys().next_back().copied();
    for window in Window::ahead(last, now) {
        windows.extend(core::iter::repeat_n(window, width));
    }
    windows.sort();
    Ok(windows)
}

/// The chain of this device that is for `partner`, as far as it has not ended, by the beginning of the windows.
///
/// A window whose KeyPackages were used leaves a gap, while an older one may not have ended: the chain begins after the
/// last gap. What was before it the partner has already.
///
/// # Errors
///
/// [`Error::Vault`], [`Error::LeafRecord`].
pub fn chain_for(
    vault: &Vault,
    pairing: PairingId,
    partner: DeviceId,
    now: u64,
) -> Result<Vec<LeafPackage>, Error> {
    let mut chain = vault.load_leaf_packages(pairing)?.0;
    let window = |package: &LeafPackage| Window::of_package(package);
    chain.retain(|package| {
        package.held == Held::ForPartner(partner)
            && window(package).is_some_and(|window| window.not_after > now)
    });
    chain.sort_by_key(|package| (window(package), package.index));
    let is_gap = |pair: &[LeafPackage]| match pair {
        [one, next] => match (window(one), window(next)) {
            (Some(one), Some(next)) => next.not_before >= one.not_after,
            _ => false,
        },
        _ => false,
    };
    if let Some(before) = chain.windows(2).rposition(is_gap) {
        chain.drain(..=before);
    }
    Ok(chain)
}

/// What was kept of a partner's chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// Whose it is.
    pub device: DeviceId,
    /// How many KeyPackages are new.
    pub kept: usize,
    /// The end of the last window, in seconds since 1970.
    pub until: u64,
}

/// Keeps the chain of a partner, or what is new in it. The same one again changes nothing.
///
/// `key_of` says the signature key of a device of the pairing, and `verify` whether a signature is of a key.
///
/// ```text
/// of a partner, with its tag, and its windows follow one another
/// for each KeyPackage   signed by the partner, and both of its keys are from the tape at the place that it names
/// it ends no earlier than what is there
/// ```
///
/// # Errors
///
/// [`PeerError::Chain`], [`PeerError::NotFromTheTape`]: nothing of it is kept. [`Error::Vault`], [`Error::LeafRecord`].
pub fn adopt_chain(
    library: &impl Library,
    vault: &Vault,
    pairing: PairingId,
    message: &[u8],
    now: u64,
    key_of: impl Fn(DeviceId) -> Option<Vec<u8>>,
    verify: impl Fn(&[u8], &[u8], &[u8]) -> bool,
) -> Result<Adopted, Error> {
    let chain = vault.open_chain(pairing, message).map_err(|error| match error {
        VaultError::Chain(error) => Error::from(PeerError::Chain(error)),
        error => error.into(),
    })?;
    chain.check(now).map_err(PeerError::Chain)?;
    let key = key_of(chain.device).ok_or(PeerError::Chain(ChainError::OtherDevice))?;
    let mut kept = vault.load_leaf_packages(pairing)?.0;
    let ends = |packages: &[LeafPackage]| {
        let of_it = packages.iter().filter(|package| package.index.device() == chain.device);
        of_it.filter_map(Window::of_package).map(|window| window.not_after).max()
    };
    let until = ends(&chain.packages).unwrap_or_default();
    if ends(&kept).is_some_and(|there| there > until) {
        return Err(PeerError::Chain(ChainError::Older).into());
    }
    let (tape, context) = (vault.open_group(pairing, PACKAGES_GROUP_ID)?, LeafPackages::context());
    let mut new = Vec::new();
    for package in chain.packages {
        if kept.iter().any(|known| known.key_package == package.key_package) {
            continue;
        }
        let parsed = read(&package.key_package)?;
        let of_partner = parsed.leaf_node().signature_key() == key
            && verify(&key, &parsed.to_be_signed(), parsed.signature());
        if !of_partner {
            return Err(PeerError::Chain(ChainError::OtherDevice).into());
        }
        // It was used, or has ended: nobody can use it again.
        let Ok(value) = vault.preview(&tape, LeafPackages::spot(package.index)) else { continue };
        if Window::of(&parsed).is_none_or(|window| window.not_after <= now) {
            continue;
        }
        let randomness = LeafRandomness::derive(value, LeafUse::KeyPackage, &context)?;
        if !is_made_with(library, &parsed, &randomness)? {
            return Err(PeerError::NotFromTheTape.into());
        }
        new.push(package);
    }
    let adopted = Adopted { device: chain.device, kept: new.len(), until };
    let of_it = kept.iter().filter(|package| package.index.device() == chain.device).count();
    if of_it.saturating_add(new.len()) > MAX_KEPT {
        return Err(PeerError::Chain(ChainError::TooLong).into());
    }
    if !new.is_empty() {
        kept.extend(new);
        vault.store_leaf_packages(pairing, &LeafPackages(kept))?;
    }
    Ok(adopted)
}

/// Until when the windows cover the time without a gap, from `from` on. A window that is still to come counts if it has
/// `sharing` KeyPackages, one for each group; one that has begun, if it has one.
pub(crate) fn covered(packages: &[LeafPackage], from: u64, sharing: usize, now: u64) -> u64 {
    let mut windows = BTreeMap::<Window, usize>::new();
    for window in packages.iter().filter_map(Window::of_package) {
        *windows.entry(window).or_default() += 1;
    }
    windows.into_iter().fold(from, |until, (window, count)| {
        let enough = count >= sharing || (count > 0 && window.not_before <= now);
        match enough && window.not_before <= until {
            true => until.max(window.not_after),
            false => until,
        }
    })
}
