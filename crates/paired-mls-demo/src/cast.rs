//! Everybody who plays, in one group at one service, each in processes of its own.

use paired_mls::{
    anchor::{Anchorage, Tree, locate},
    wire::RatchetTree,
};
use paired_mls_api::GroupId;
use serde::Deserialize;
use tokio::{join, try_join};

use super::{
    DemoError,
    epoch::Epoch,
    member::{Library, Order, State},
    picture::{View, picture},
    role::{Role, Seating, Seats, THIEF},
    stage::{Device, Member, News, Service, Stage, TreeView},
    thief::Thief,
};

/// Everybody, and the thief.
pub(crate) struct Cast<'a> {
    stage: &'a Stage,
    seating: Seating,
    pub(crate) service: Service,
    pub(crate) phone: Device<'a>,
    pub(crate) sensor: Device<'a>,
    pub(crate) dave: Device<'a>,
    pub(crate) bob: Member,
    carol: Member,
    /// What all devices call the group.
    pub(crate) group: &'static str,
    pub(crate) group_id: GroupId,
    pub(crate) thief: Option<Thief>,
    thefts: usize,
}

/// What there is to say about an epoch before one has looked at it.
#[derive(Default)]
pub(crate) struct Happened {
    pub(crate) what: String,
    pub(crate) by: Option<Role>,
    pub(crate) commands: Vec<String>,
    pub(crate) commit_bytes: Option<usize>,
    pub(crate) healed: Healed,
}

/// Whether a commit has healed a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Healed {
    Yes,
    #[default]
    No,
}

impl Happened {
    /// What to call the commit.
    pub(crate) fn kind(&self) -> &'static str {
        match self.healed {
            Healed::Yes => "a paired commit",
            Healed::No => "a commit",
        }
    }
}

/// How often the messages of a pairing are carried to and fro at most.
const ROUNDS: u32 = 6;

#[derive(Deserialize)]
struct Created {
    id: GroupId,
}

impl<'a> Cast<'a> {
    /// A service, and everybody registered there. `creator` makes the group.
    pub(crate) async fn gather(
        stage: &'a Stage,
        seating: Seating,
        group: &'static str,
        creator: Role,
    ) -> Result<Self, DemoError> {
        let service = Service::start(stage, seating).await?;
        let at = (seating, &service.url);
        let alice = async {
            let phone = Device::new(stage, at, Role::Phone, None).await?;
            // A further device of a user is approved by the first.
            let first = (seating == Seating::Together).then_some(&phone);
            let sensor = Device::new(stage, at, Role::Sensor, first).await?;
            Ok::<_, DemoError>((phone, sensor))
        };
        let ((phone, sensor), dave, bob, carol) = try_join!(
            alice,
            Device::new(stage, at, Role::Dave, None),
            Member::start(stage, at, Role::Bob, Library::Openmls),
            Member::start(stage, at, Role::Carol, Library::MlsRs),
        )?;
        let create = ["group", "create", group];
        let created: Created = match creator {
            Role::Dave => dave.run(&create).await?,
            _ => phone.run(&create).await?,
        };
        Ok(Self {
            stage,
            seating,
            service,
            phone,
            sensor,
            dave,
            bob,
            carol,
            group,
            group_id: created.id,
            thief: None,
            thefts: 0,
        })
    }

    /// Those that were added join: these devices, and the stock members.
    pub(crate) async fn enter(&mut self, newcomers: &[Role]) -> Result<(), DemoError> {
        for role in newcomers {
            let device = self.device(*role)?;
            device.sync().await?;
            let id = self.group_id.to_string();
            // An identifier may begin with a dash.
            let rename = ["group", "rename", "--", &id, self.group];
            device.run::<serde_json::Value>(&rename).await?;
        }
        let join = Order::Join { group: self.group_id.clone() };
        try_join!(self.bob.order(&join), self.carol.order(&join))?;
        Ok(())
    }

    /// Each of these commits once, so that the tree is full.
    pub(crate) async fn fill(&mut self, roles: &[Role]) -> Result<(), DemoError> {
        for role in roles {
            self.commit(*role).await?;
        }
        Ok(())
    }

    /// Carries the messages of a pairing to and fro until it has come about on both devices.
    pub(crate) async fn until_paired(&self) -> Result<(), DemoError> {
        let devices = [&self.sensor, &self.phone];
        for _ in 0..ROUNDS {
            for device in devices {
                device.sync().await?;
            }
            if self.phone.is_paired().await? && self.sensor.is_paired().await? {
                // What comes of it: in groups, and for a shared leaf.
                for device in devices {
                    device.sync().await?;
                }
                return Ok(());
            }
        }
        Err(DemoError::Missing("the pairing has come about"))
    }

    fn device(&self, role: Role) -> Result<&Device<'a>, DemoError> {
        match role {
            Role::Phone => Ok(&self.phone),
            Role::Sensor => Ok(&self.sensor),
            Role::Dave => Ok(&self.dave),
            Role::Bob | Role::Carol => Err(DemoError::Missing("a device of the command line acts")),
        }
    }

    /// The thief copies what lies in the sensor's folder. The vault lies elsewhere.
    pub(crate) fn theft(&mut self) -> Result<(), DemoError> {
        self.thefts += 1;
        let loot = self.stage.folder(&format!("{}-loot-{}", self.seating.name(), self.thefts))?;
        let home = self.sensor.home();
        self.thief = Some(Thief::steal(&home, &loot, &self.group_id, &self.service)?);
        Ok(())
    }

    /// The thief, who is on the stage by now.
    pub(crate) fn thief(&self) -> Result<&Thief, DemoError> {
        self.thief.as_ref().ok_or(DemoError::Missing("the thief is on the stage"))
    }

    /// Commits, and says what there is to say about it.
    pub(crate) async fn commit(&mut self, by: Role) -> Result<Happened, DemoError> {
        let (mut commands, mut healed) = (Vec::new(), Healed::No);
        match by {
            Role::Bob => drop(self.bob.order(&Order::Commit).await?),
            Role::Carol => drop(self.carol.order(&Order::Commit).await?),
            Role::Phone | Role::Sensor | Role::Dave => {
                let args = ["update", self.group];
                let news = self.device(by)?.news(&args).await?;
                if News::healed(&news) {
                    healed = Healed::Yes;
                }
                commands.push(by.prompt(&args));
            }
        }
        let commit_bytes = Some(self.service.last_commit(&self.group_id)?.message.len());
        Ok(Happened { what: String::new(), by: Some(by), commands, commit_bytes, healed })
    }

    /// Looks at the epoch as it is now: `speaker` says something, everybody tries to read it, and so
    /// does the thief.
    pub(crate) async fn look(
        &mut self,
        happened: Happened,
        speaker: Role,
    ) -> Result<Epoch, DemoError> {
        let mut happened = happened;
        if (happened.healed, happened.by) == (Healed::Yes, Some(Role::Phone)) {
            happened.commands.push(Role::Sensor.prompt(&["sync"]));
        }
        let said = format!("number {} of the log", self.service.last_position(&self.group_id)? + 1);
        match speaker {
            Role::Bob => drop(self.bob.order(&Order::Send { text: said.clone() }).await?),
            _ => {
                let send = ["group", "send", self.group, &said];
                self.device(speaker)?.news(&send).await?;
            }
        }
        let (phone, sensor, dave, bob, carol) = join!(
            self.phone.sync(),
            self.sensor.sync(),
            self.dave.sync(),
            self.bob.order(&Order::Sync),
            self.carol.order(&Order::Sync),
        );
        let (bob, carol) = (bob?, carol?);
        let read = [
            (Role::Phone, News::said(&phone?, &said)),
            (Role::Sensor, News::said(&sensor?, &said)),
            (Role::Bob, bob.heard.contains(&said)),
            (Role::Carol, carol.heard.contains(&said)),
            (Role::Dave, News::said(&dave?, &said)),
        ];
        let reads = |(role, read): (Role, bool)| (role.name(), read || role == speaker);
        let mut readers: Vec<_> = read.into_iter().map(reads).collect();
        if let Some(thief) = &mut self.thief {
            let wire = self.service.log(&self.group_id, thief.cursor())?;
            readers.push((THIEF, thief.follow(&wire).contains(&said)));
        }
        self.epoch(happened, readers, [bob, carol]).await
    }

    async fn epoch(
        &self,
        happened: Happened,
        readers: Vec<(&'static str, bool)>,
        [bob, carol]: [State; 2],
    ) -> Result<Epoch, DemoError> {
        let views = try_join!(
            self.phone.tree(self.group),
            self.sensor.tree(self.group),
            self.dave.tree(self.group),
        )?;
        let (phone, sensor, dave) = views;
        let decoded = RatchetTree::decode(&bob.tree.0);
        let tree = decoded.map_err(DemoError::mls("decode the tree that Bob sees"))?;
        let seats = Seats::find(&tree, self.seating)?;
        let Happened { what, by, commands, commit_bytes, healed } = happened;
        let anchorage = match healed {
            Healed::Yes => by.map(|by| anchorage(&tree, &seats, by)).transpose()?,
            Healed::No => None,
        };
        let view = View {
            tree: &tree,
            known: match &self.thief {
                Some(thief) => thief.known_nodes()?,
                None => Default::default(),
            },
            committer: by.and_then(|by| seats.leaf(by)),
            anchor: anchorage.as_ref().and_then(Anchorage::anchor),
            seats: &seats,
        };
        let picture = picture(&view)?;
        let others =
            [&sensor.authenticator, &dave.authenticator, &bob.authenticator, &carol.authenticator];
        Ok(Epoch {
            number: phone.epoch,
            what,
            commands,
            commit_bytes,
            paired: healed == Healed::Yes,
            security: phone.security_of_the_sensor(),
            readers,
            together: others.into_iter().all(|other| *other == phone.authenticator),
            tree: picture,
        })
    }
}

/// Where the anchor of a paired commit was, as everybody can compute it who knows who is paired; none
/// where the devices share a leaf.
fn anchorage(tree: &RatchetTree, seats: &Seats, by: Role) -> Result<Anchorage, DemoError> {
    let leaf = |role| seats.leaf(role).ok_or(DemoError::Missing("Alice is in the group"));
    let devices = [leaf(Role::Phone)?, leaf(Role::Sensor)?];
    locate(&Tree::from(tree), leaf(by)?, &devices, &[]).map_err(DemoError::mls("find the anchor"))
}

impl TreeView {
    /// For the sensor, which is device 1 of the pairing; behind one leaf, for that.
    fn security_of_the_sensor(&self) -> Option<String> {
        let sensor = self.nodes.iter().find(|node| node.device == Some(1));
        sensor.map_or_else(|| self.security.clone(), |node| node.security.clone())
    }
}
