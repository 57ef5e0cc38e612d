//! Who a member is, for people: by the identity that the directory has accepted, and by the device where
//! names alone do not tell members apart.

use std::collections::BTreeMap;

use paired_mls::{
    anchor::LeafIndex,
    group::credential::{Identity, Verdict},
};
use paired_mls_api::GroupId;
use paired_mls_openmls::MemberIdentity;
use serde::Serialize;
use unicode_security::skeleton;

use super::{Engine, EngineError, Group, Happening, Report};
use crate::output::{printable, short};

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Who {
    /// Whose leaf it is, in the form that the command line takes: the identity that was accepted last.
    /// Nothing if none ever was.
    pub(crate) user: Option<String>,
    /// The devices behind the leaf, by the ids of their keys.
    pub(crate) devices: Vec<String>,
    /// Who the leaf says that it is, where that is not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unverified: Option<String>,
    /// For people.
    #[serde(skip)]
    pub(crate) shown: String,
}

impl Group {
    /// The members, by leaf.
    pub(crate) fn members(&self) -> Vec<(LeafIndex, Who)> {
        let members = self.identities();
        let names: Vec<_> = members.iter().map(|member| name_of(&member.identity)).collect();
        let mut looks = BTreeMap::<String, usize>::new();
        for name in names.iter().flatten() {
            *looks.entry(look_of(name)).or_default() += 1;
        }
        members
            .iter()
            .zip(names)
            .map(|(member, user)| {
                let alone = user.as_ref().is_some_and(|user| looks.get(&look_of(user)) == Some(&1));
                (member.leaf, self.who(member, user, alone))
            })
            .collect()
    }

    fn who(&self, member: &MemberIdentity, user: Option<String>, alone: bool) -> Who {
        let devices: Vec<_> = self
            .directory()
            .devices(&member.signature_keys)
            .iter()
            .map(ToString::to_string)
            .collect();
        let device = devices.first().map(|id| short(id)).unwrap_or_default();
        let name = match &user {
            Some(user) if alone => user.clone(),
            Some(user) => format!("{user}/{device}"),
            None => format!("?/{device}"),
        };
        let (unverified, shown) = match &member.identity {
            Identity::Verified(_) => (None, name),
            Identity::Unverified { claims, .. } => {
                let says = printable(claims.content());
                let verdict = self.directory().verdict(claims, &member.signature_keys);
                let shown = match verdict {
                    Verdict::Unavailable | Verdict::Accepted => {
                        format!("{name} (not checked yet: says it is {says})")
                    }
                    Verdict::NotKnown => {
                        format!("{name} (UNVERIFIED: says it is {says}, and is not)")
                    }
                };
                (Some(says), shown)
            }
        };
        Who { user, devices, unverified, shown }
    }

    /// Who is at a leaf.
    pub(crate) fn member(&self, leaf: LeafIndex) -> Who {
        let found = self.members().into_iter().find(|(at, _)| *at == leaf);
        found.map_or_else(
            || Who {
                user: None,
                devices: Vec::new(),
                unverified: None,
                shown: format!("whoever was at #{}", leaf.value()),
            },
            |(_, who)| who,
        )
    }

    /// Who has sent a message: the one that the leaf was in the message's epoch.
    pub(super) fn sender(&self, leaf: LeafIndex, identity: &Identity) -> Who {
        let now = self.member(leaf);
        let user = name_of(identity);
        if now.user == user && now.unverified.is_some() == identity.verified().is_none() {
            return now;
        }
        // The leaf is another one's by now: which device it was is not known any more.
        let name = user.clone().unwrap_or_else(|| "?".to_owned());
        let (unverified, shown) = match identity {
            Identity::Verified(_) => (None, name),
            Identity::Unverified { claims, .. } => {
                let says = printable(claims.content());
                let shown = format!("{name} (UNVERIFIED: says it is {says})");
                (Some(says), shown)
            }
        };
        Who { user, devices: Vec::new(), unverified, shown }
    }
}

impl Engine {
    /// Asks the directory about members that nobody has checked, and tells of those that are not whom they
    /// say. Without the service they stay as they are.
    pub(super) async fn who_is_who(
        &mut self,
        group: &mut Group,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        if !group.has_unverified() {
            return Ok(());
        }
        group.recheck()?;
        if group.has_unverified() && self.learn_from_directory().await? {
            group.recheck()?;
        }
        for member in group.identities() {
            let Identity::Unverified { claims, last } = &member.identity else { continue };
            let verdict = self.session.directory().verdict(claims, &member.signature_keys);
            let (leaf, says) = (member.leaf.value(), printable(claims.content()));
            let last = last.as_ref().map(|last| printable(last.content()));
            let key = member.signature_keys.concat();
            let what = format!("who {} {leaf} {says} {}", group.row.id, hex::encode(key));
            if verdict == Verdict::NotKnown && self.is_news(&what)? {
                let group = group.row.name.clone();
                report.add(Happening::Impostor { group, leaf, says, last });
            }
        }
        Ok(())
    }

    /// The same, for a group that this device has come into.
    pub(super) async fn who_is_in(
        &mut self,
        id: &GroupId,
        report: &mut Report,
    ) -> Result<(), EngineError> {
        let Some(row) = self.store().group(id)? else { return Ok(()) };
        let mut group = self.load(&row)?;
        self.who_is_who(&mut group, report).await
    }

    /// Asks the directory for what the policy did not know. Returns whether there was an answer.
    pub(super) async fn learn_from_directory(&mut self) -> Result<bool, EngineError> {
        let mut answered = false;
        for device in self.session.directory().wanted() {
            match self.owner_of(&device).await {
                Ok(_) => answered = true,
                Err(error) if error.is_network() => return Ok(answered),
                Err(error) => return Err(error),
            }
        }
        Ok(answered)
    }
}

fn name_of(identity: &Identity) -> Option<String> {
    identity.last_accepted().map(|credential| printable(credential.content()))
}

/// What a name looks like (Unicode Technical Standard 39).
fn look_of(name: &str) -> String {
    skeleton(name).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::look_of;

    #[test]
    fn names_that_look_alike_are_known_as_such() {
        let pairs = [("alice", "\u{430}lice"), ("bill", "bi1l"), ("corn", "com"), ("Bob", "bob")];
        for (one, other) in pairs {
            assert_eq!(look_of(one), look_of(other), "{one} and {other}");
        }
        assert_ne!(look_of("alice"), look_of("bob"));
    }
}
