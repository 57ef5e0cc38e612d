//! What the demo claims, what it measured, and whether the one bears out the other.

use std::process::ExitCode;

use serde::Serialize;

/// A claim and its measurement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Fact {
    pub(crate) id: &'static str,
    pub(crate) claim: &'static str,
    pub(crate) measured: String,
    pub(crate) holds: bool,
}

impl Fact {
    pub(crate) fn new(
        id: &'static str,
        claim: &'static str,
        measured: impl Into<String>,
        holds: bool,
    ) -> Self {
        Self { id, claim, measured: measured.into(), holds }
    }
}

/// 0 if every fact holds, 1 if one does not, or if there are none.
pub(crate) fn exit_code(facts: &[Fact]) -> ExitCode {
    let holds = !facts.is_empty() && facts.iter().all(|fact| fact.holds);
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fact_that_does_not_hold_fails_the_demo() {
        let fact = |holds| Fact::new("id", "claim", "measured", holds);
        let code = |facts: &[Fact]| format!("{:?}", exit_code(facts));
        assert_eq!(code(&[fact(true), fact(true)]), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(&[fact(true), fact(false)]), format!("{:?}", ExitCode::FAILURE));
        assert_eq!(code(&[]), format!("{:?}", ExitCode::FAILURE));
    }
}
