//! With which cipher suites the conformance suite runs.

use std::env;

use paired_mls::CipherSuite;

/// Those of `suites` that `PAIRED_MLS_SUITES` names, by numbers with commas between; all of them if it is not
/// set, or names none of them.
pub(crate) fn chosen(suites: &[CipherSuite]) -> Vec<CipherSuite> {
    let wanted = env::var("PAIRED_MLS_SUITES").unwrap_or_default();
    let wanted: Vec<u16> = wanted.split(',').filter_map(|number| number.parse().ok()).collect();
    let chosen = suites.iter().copied().filter(|suite| wanted.contains(&suite.code_point()));
    let chosen: Vec<_> = chosen.collect();
    if chosen.is_empty() { suites.to_vec() } else { chosen }
}
