//! What a device does with its groups, its pairings and the service.
//!
//! ```text
//! commands ─► Engine ─┬─ commit    make a commit, send it, follow whoever wins the epoch
//!                     ├─ sync      mailbox, then the log of each group, each from its cursor
//!                     ├─ pairing   the pairing protocol over mailboxes, 1-to-1 channel and directory
//!                     ├─ leaf      the leaf that devices share: its key, its KeyPackages
//!                     ├─ say       messages, and the proposal to leave
//!                     ├─ rejoin    coming back from outside
//!                     └─ outbox    what is to be sent, stored with the state that it comes from
//! ```
//!
//! # Crashes
//!
//! A message is stored to be sent in one transaction with the MLS state that made it, and the service
//! answers a repeated request like the first. What is received is processed again if the process dies
//! before the cursor moves: a commit that is merged already is passed over by its epoch, and an
//! application message is decrypted, kept and passed in one transaction.

mod adder;
mod change;
mod claim;
mod commit;
mod doctor;
mod error;
mod feed;
mod forget;
mod group;
mod health;
mod identity;
mod inbox;
mod incarnation;
mod item;
mod leaf;
mod log;
mod mailbox;
mod outbox;
mod packages;
mod pairing;
mod plan;
mod proofs;
mod provision;
mod recover;
mod rejoin;
mod repair;
mod report;
mod say;
mod status;
mod store;
mod sync;
mod token;
mod tree;
mod watch;
mod who;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use openmls_traits::{OpenMlsProvider as _, random::OpenMlsRand as _};
use paired_mls::pairing::{PairingBook, Party};
use paired_mls_api::{GroupId, SignatureScheme};
use paired_mls_openmls::{Error, UsageError};

pub(crate) use self::{
    adder::Crowded,
    change::{Change, Newcomer},
    doctor::{Finding, FindingKind},
    error::EngineError,
    feed::Waiting as FeedWaiting,
    group::{Door, Group},
    inbox::{Letter, Said, Which},
    outbox::{Refused, Waiting},
    packages::Offers,
    pairing::{
        CommittedBy, EndInGroup, EndView, Invitation, PairingView, Partners, Start, seed_of,
    },
    provision::Life,
    report::{Happening, Report},
    status::{Attention, DeviceStatus, GroupStatus, PackageStatus, Status, span},
    store::{GroupRow, Membership, Store},
    token::{Token, TokenState},
    watch::{Connection, Watch, Watching},
    who::Who,
};
use crate::{
    session::{Client, Crypto, Home, OwnDevice, Profile, Session},
    settings::GlobalOptions,
};

/// A device at work.
pub(crate) struct Engine {
    session: Session,
    /// What this process has stored to be sent.
    made: RefCell<BTreeSet<i64>>,
    /// What of that the service has refused for good.
    refused: RefCell<Vec<Refused>>,
}

/// The kind of the marks of what was said once.
const NEWS: &str = "said once ";

impl Engine {
    /// Opens the device's home. What a crash has left half done is tidied up here and with the next
    /// [`Engine::sync`].
    pub(crate) fn open(options: &GlobalOptions) -> Result<Self, EngineError> {
        Self::of(Session::open(options)?)
    }

    fn assemble(session: Session) -> Result<Self, EngineError> {
        let engine = Self { session, made: RefCell::default(), refused: RefCell::default() };
        engine.store().prepare()?;
        for (device, user) in engine.store().owners()? {
            engine.session.directory().learn(&device, Some(&user));
        }
        Ok(engine)
    }

    /// Begins the next command of the same process: what the last one made and was refused is not its own.
    pub(crate) fn begin(&self) {
        self.made.borrow_mut().clear();
        self.refused.borrow_mut().clear();
    }

    /// Ends a command: what the home remembers is up to date. The next one does it, if this one cannot.
    pub(crate) fn end(&self) {
        let _ = self.remember();
    }

    /// How long the service may take for an answer, from now on; returns how long it might until now.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Duration {
        self.session.set_timeout(timeout)
    }

    /// Who the device is.
    pub(crate) fn profile(&self) -> &Profile {
        self.session.profile()
    }

    /// Why a command has failed: of what a library says that it could not do, the disk may be the cause.
    pub(crate) fn cause_of(&self, error: EngineError) -> EngineError {
        match error {
            EngineError::Mls(Error::Mls { .. }) => self.store().check_disk().err().unwrap_or(error),
            error => error,
        }
    }

    /// Remembers beside the MLS state what its loss would take.
    fn remember(&self) -> Result<(), EngineError> {
        Ok(self.session.home().remember(&self.known()?)?)
    }

    pub(crate) fn store(&self) -> Store<'_> {
        Store(self.device().provider().connection())
    }

    pub(crate) fn home(&self) -> &Home {
        self.session.home()
    }

    fn device(&self) -> &OwnDevice {
        self.session.device()
    }

    fn client(&self) -> Result<&Client, EngineError> {
        let client = self.session.client()?;
        // It says so with each request.
        if client.known_incarnation().is_none()
            && let Some(known) = self.store().incarnation()?
        {
            client.know_incarnation(&known);
        }
        Ok(client)
    }

    fn crypto(&self) -> &Crypto {
        self.device().provider().crypto()
    }

    fn party(&self) -> Party {
        Party {
            identity: self.session.profile().user.as_bytes().to_vec(),
            signature_key: self.device().signature_key().to_vec(),
        }
    }

    fn book(&self) -> PairingBook<'_> {
        PairingBook::new(self.session.vault(), self.party())
    }

    fn scheme(&self) -> Result<SignatureScheme, EngineError> {
        Ok(SignatureScheme::of_suite(self.session.profile().suite.code_point())?)
    }

    /// The group of a name, an identifier, or the beginning of one. Who names it knows of it.
    pub(crate) fn find(&self, name: &str) -> Result<GroupRow, EngineError> {
        let row = self.look_for(name)?;
        self.store().set_used(&row.id)?;
        Ok(row)
    }

    fn look_for(&self, name: &str) -> Result<GroupRow, EngineError> {
        let rows = self.store().groups()?;
        if let Some(row) = rows.iter().find(|row| row.name == name) {
            return Ok(row.clone());
        }
        let mut matching = rows.iter().filter(|row| begins(&row.id, name));
        match (matching.next(), matching.next()) {
            (Some(row), None) => Ok(row.clone()),
            (Some(_), Some(_)) => Err(EngineError::Ambiguous(name.to_owned())),
            (None, _) => Err(EngineError::NoGroup(name.to_owned())),
        }
    }

    /// The time, by the clock of the operating system.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn random<const N: usize>(&self) -> Result<[u8; N], EngineError> {
        let random = self.device().provider().rand().random_array();
        random.map_err(|_| EngineError::NoRandomness)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, EngineError> {
        let random = self.device().provider().rand().random_vec(len);
        random.map_err(|_| EngineError::NoRandomness)
    }

    /// The id of a group that this user creates.
    fn new_group_id(&self) -> Result<GroupId, EngineError> {
        Ok(GroupId::of_creator(&self.session.profile().user, self.random()?))
    }

    /// Whether something is said for the first time.
    fn is_news(&self, what: &str) -> Result<bool, EngineError> {
        self.store().mark(NEWS, &self.message_id(what.as_bytes())?)
    }

    /// A commit that waits although nothing of it is to be sent was never sent, and a group that is not
    /// there was never joined: the process died in between.
    fn drop_unsent(&self) -> Result<(), EngineError> {
        let underway = self.underway()?;
        for row in self.store().groups()?.into_iter().filter(|row| row.state.takes_part()) {
            let mut group = match self.load(&row) {
                Err(EngineError::Mls(Error::Usage(UsageError::NoSuchGroup))) => {
                    self.store().forget_group(&row.id)?;
                    continue;
                }
                loaded => loaded?,
            };
            match (group.has_pending(), underway.contains(&row.id)) {
                (true, false) => group.discard()?,
                (false, true) => self.merged(&row.id)?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether an identifier begins as somebody has named it. Nothing names nothing.
fn begins(id: &impl ToString, named: &str) -> bool {
    !named.is_empty() && id.to_string().starts_with(named)
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}
