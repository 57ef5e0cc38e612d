//! Fewer steps that fail as well.

/// Leaves out steps as long as `fails` says that the rest fails too: halves first, then smaller parts, down to single
/// steps. `fails` is asked at most `runs` times.
pub fn shrink(steps: &[usize], runs: usize, mut fails: impl FnMut(&[usize]) -> bool) -> Vec<usize> {
    let mut kept = steps.to_vec();
    let mut part = kept.len() / 2;
    let mut left = runs;
    while part > 0 {
        let mut start = 0;
        while start < kept.len() {
            if left == 0 {
                return kept;
            }
            left -= 1;
            let end = (start + part).min(kept.len());
            let without = kept.iter().enumerate();
            let without = without.filter(|(n, _)| !(start..end).contains(n));
            let without: Vec<_> = without.map(|(_, step)| *step).collect();
            if fails(&without) {
                kept = without;
            } else {
                start = end;
            }
        }
        part /= 2;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_fails_and_nothing_of_it_can_go() {
        let steps: Vec<_> = (0..100).collect();
        let fails = |steps: &[usize]| steps.contains(&17) && steps.contains(&71);
        assert_eq!(shrink(&steps, 1_000, fails), [17, 71]);
    }

    #[test]
    fn it_asks_no_more_often_than_it_may() {
        let mut asked = 0;
        let steps: Vec<_> = (0..100).collect();
        let kept = shrink(&steps, 3, |_| {
            asked += 1;
            false
        });
        assert_eq!((kept.len(), asked), (100, 3));
    }
}
