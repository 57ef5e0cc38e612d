//! `pmls-demo member`: a member on a stock library, in a process of its own. It talks to the service
//! like anybody else, has never heard of Paired MLS, and obeys one line of JSON after the other.

mod order;

use std::io::{self, BufRead as _, Write as _};

use clap::{Args, ValueEnum};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::random::OpenMlsRand as _;
use paired_mls::{
    conformance::{Content, Framing, Heard, Refused},
    wire::MlsMessage,
};
use paired_mls_api::{
    Base64Url, Envelope, GroupId, KeyPackageUpload, LogEntry, PublishCommit, RegisterDevice,
    RequestKey, RosterChange, SignatureScheme, UserId,
};
use paired_mls_client::{Client, Publication, Server};
use paired_mls_peers::{SignFn, Stock, StockMlsRs, StockOpenMls};
use url::Url;

pub(super) use self::order::{Answer, Order, State};
use super::{DemoError, SUITE};

/// Which member.
#[derive(Args)]
pub(crate) struct MemberArgs {
    /// What it runs on.
    #[arg(long)]
    library: Library,
    /// Who it is.
    #[arg(long)]
    user: String,
    /// The service.
    #[arg(long)]
    server: Url,
}

/// What a member runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// OpenMLS.
    Openmls,
    /// mls-rs, of AWS.
    MlsRs,
}

impl Library {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Openmls => "openmls",
            Self::MlsRs => "mls-rs",
        }
    }
}

/// Obeys until there are no more orders.
pub(crate) async fn run(args: &MemberArgs) -> Result<(), DemoError> {
    let played = play(args).await;
    played.map_err(DemoError::mls("a stock member"))
}

async fn play(args: &MemberArgs) -> Result<(), Refused> {
    let mut member = Member::register(args, Server::new(args.server.as_str())?).await?;
    tell(&Answer::Done(member.state()?))?;
    for line in io::stdin().lock().lines() {
        let order = serde_json::from_str(&line?)?;
        tell(&match member.obey(&order).await {
            Ok(()) => Answer::Done(member.state()?),
            Err(error) => Answer::Failed { error: error.to_string() },
        })?;
    }
    Ok(())
}

fn tell(answer: &Answer) -> Result<(), Refused> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(answer)?)?;
    Ok(out.flush()?)
}

/// The member's signature key, for requests.
struct Key {
    public: Vec<u8>,
    sign: SignFn,
}

impl RequestKey for Key {
    type Error = Refused;

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::Ed25519
    }

    fn public_key(&self) -> Vec<u8> {
        self.public.clone()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        (self.sign)(message)
    }
}

struct Member {
    stock: Box<dyn Stock>,
    client: Client<Key>,
    group: Option<GroupId>,
    /// How far the log was read.
    cursor: u64,
    /// The positions of its own messages, which it cannot decrypt.
    own: Vec<u64>,
    heard: Vec<String>,
}

impl Member {
    /// A member that the service knows, with a KeyPackage there.
    async fn register(args: &MemberArgs, server: Server) -> Result<Self, Refused> {
        let mut stock: Box<dyn Stock> = match args.library {
            Library::Openmls => Box::new(StockOpenMls::new(SUITE, Framing::Public, &args.user)?),
            Library::MlsRs => Box::new(StockMlsRs::new(SUITE, Framing::Public, &args.user)?),
        };
        let key = Key { public: stock.signature_key(), sign: stock.signer() };
        let register = RegisterDevice {
            user: UserId::new(args.user.as_bytes())?,
            scheme: key.scheme(),
            signature_key: Base64Url(key.public_key()),
        };
        let client = Client::new(server, key)?;
        client.register(&register).await?;
        let key_packages = vec![stock.key_package()?.into()];
        client.upload(&KeyPackageUpload { key_packages, last_resort: Vec::new() }).await?;
        Ok(Self { stock, client, group: None, cursor: 0, own: Vec::new(), heard: Vec::new() })
    }

    /// Where it is now, and what it has heard since it was asked last.
    fn state(&mut self) -> Result<State, Refused> {
        let heard = std::mem::take(&mut self.heard);
        if self.group.is_none() {
            return Ok(State { heard, ..State::default() });
        }
        Ok(State {
            epoch: self.stock.epoch(),
            authenticator: hex::encode(self.stock.epoch_authenticator()),
            tree: self.stock.ratchet_tree()?.into(),
            heard,
        })
    }

    fn group(&self) -> Result<GroupId, Refused> {
        Ok(self.group.clone().ok_or("this member is in no group")?)
    }

    async fn obey(&mut self, order: &Order) -> Result<(), Refused> {
        match order {
            Order::Join { group } => self.join(group).await,
            Order::Sync => self.sync().await,
            Order::Commit => self.commit().await,
            Order::Send { text } => self.send(text).await,
        }
    }

    async fn join(&mut self, group: &GroupId) -> Result<(), Refused> {
        for item in self.client.items(0, None).await?.items {
            let envelope = Envelope::decode(item.envelope.0)?;
            if let Ok(MlsMessage::Welcome) = MlsMessage::decode(envelope.content()) {
                self.stock.join(envelope.content())?;
                self.client.ack(item.position).await?;
                self.group = Some(group.clone());
                return self.sync().await;
            }
        }
        Err("there is no Welcome in the mailbox".into())
    }

    async fn sync(&mut self) -> Result<(), Refused> {
        let group = self.group()?;
        loop {
            let page = self.client.log(&group, self.cursor, None).await?;
            for entry in page.entries {
                self.follow(&entry)?;
                self.cursor = entry.position;
            }
            if self.cursor >= page.head {
                return Ok(());
            }
        }
    }

    /// Follows what is of the member's own epoch, by the message's header. The rest is over.
    fn follow(&mut self, entry: &LogEntry) -> Result<(), Refused> {
        let MlsMessage::Framed(header) = MlsMessage::decode(&entry.message.0)? else {
            return Err("the log holds framed messages".into());
        };
        if header.epoch() != self.stock.epoch() || self.own.contains(&entry.position) {
            return Ok(());
        }
        if let Heard::Application(text) = self.stock.process(&entry.message.0)? {
            self.heard.push(String::from_utf8_lossy(&text).into_owned());
        }
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Refused> {
        self.sync().await?;
        let commit = self.stock.commit(&Content::default())?.commit;
        let random = RustCrypto::default();
        let mut filled = Ok(());
        // Like everybody: an envelope for devices of the account that there may be.
        let cover = Envelope::cover(&commit, |bytes| match random.random_vec(bytes.len()) {
            Ok(drawn) => bytes.copy_from_slice(&drawn),
            Err(error) => filled = Err(error),
        })?;
        filled?;
        let publish = PublishCommit {
            commit: commit.into(),
            account_envelope: cover.into_bytes().into(),
            welcomes: Vec::new(),
            envelopes: Vec::new(),
            group_info: None,
            roster: RosterChange::default(),
        };
        match self.client.publish_commit(&self.group()?, &publish).await? {
            Publication::Accepted(_) => {
                self.stock.confirm()?;
                Ok(())
            }
            Publication::Lost { epoch } => {
                self.stock.discard()?;
                Err(format!("another commit has won: the group is in epoch {epoch}").into())
            }
        }
    }

    async fn send(&mut self, text: &str) -> Result<(), Refused> {
        self.sync().await?;
        let message = self.stock.send(text.as_bytes())?;
        let published = self.client.publish_message(&self.group()?, &message).await?;
        self.own.push(published.position);
        Ok(())
    }
}
