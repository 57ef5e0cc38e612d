//! The story while it is told: what has happened, and what it has shown.

use super::{
    DemoError,
    epoch::{Act, Epoch},
    facts::Fact,
    narrate::Narrator,
};

/// What was told until now.
pub(crate) struct Telling {
    pub(crate) narrator: Narrator,
    pub(crate) acts: Vec<Act>,
    pub(crate) facts: Vec<Fact>,
}

impl Telling {
    /// Nothing yet.
    pub(crate) fn new(narrator: Narrator) -> Self {
        Self { narrator, acts: Vec::new(), facts: Vec::new() }
    }

    /// An act begins.
    pub(crate) fn act(
        &mut self,
        title: &'static str,
        intro: &'static str,
    ) -> Result<(), DemoError> {
        let act = Act { title, intro, epochs: Vec::new(), aside: None };
        self.narrator.act(self.acts.len() + 1, &act)?;
        self.acts.push(act);
        Ok(())
    }

    /// An epoch has passed.
    pub(crate) fn epoch(&mut self, epoch: Epoch) -> Result<(), DemoError> {
        self.narrator.epoch(&epoch)?;
        let act = self.acts.last_mut().ok_or(DemoError::Missing("an act has begun"))?;
        act.epochs.push(epoch);
        Ok(())
    }

    /// Something happens beside the story, at the end of the act.
    pub(crate) fn aside(&mut self, text: &'static str) -> Result<(), DemoError> {
        self.narrator.aside(text)?;
        let act = self.acts.last_mut().ok_or(DemoError::Missing("an act has begun"))?;
        act.aside = Some(text);
        Ok(())
    }

    /// The epochs of this act.
    pub(crate) fn epochs(&self) -> &[Epoch] {
        self.acts.last().map(|act| act.epochs.as_slice()).unwrap_or_default()
    }

    /// The last of them.
    pub(crate) fn last(&self) -> Result<&Epoch, DemoError> {
        self.epochs().last().ok_or(DemoError::Missing("an epoch has passed"))
    }

    /// Something was shown, or was not.
    pub(crate) fn fact(
        &mut self,
        id: &'static str,
        claim: &'static str,
        measured: impl Into<String>,
        holds: bool,
    ) {
        self.facts.push(Fact::new(id, claim, measured, holds));
    }
}
