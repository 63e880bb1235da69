//! How often the gateway's own lines are read for its crash-loop breaker, which neither `/health` nor `/ready` mentions.
//!
//! Owns when a run is asked; knows nothing of how lines are read and what is made of them.

use crate::policy::facts::Invocation;

/// A journal that did not answer so often is not asked again for the same run: each time costs a process.
const TRIES: u8 = 3;

/// The run that is asked, and how often it still is.
#[derive(Default)]
pub(super) struct Asked {
    run: Option<Invocation>,
    left: u8,
}

impl Asked {
    /// Whether this run is to be asked: once, and again for as long as its breaker is `tripped`.
    pub(super) fn is_due(&mut self, run: &Invocation, tripped: bool) -> bool {
        if self.run.as_ref() != Some(run) {
            (self.run, self.left) = (Some(run.clone()), TRIES);
        }
        0 < self.left || tripped
    }

    /// It was asked.
    pub(super) fn note(&mut self, answered: bool) {
        self.left = if answered {
            0
        } else {
            self.left.saturating_sub(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str) -> Invocation {
        Invocation(name.to_owned())
    }

    #[test]
    fn each_run_is_asked_once_and_again_for_as_long_as_its_breaker_is_tripped() {
        let mut asked = Asked::default();
        for name in ["a", "b"] {
            assert!(asked.is_due(&run(name), false));
            asked.note(true);
            assert!(!asked.is_due(&run(name), false));
            assert!(asked.is_due(&run(name), true));
        }
    }

    #[test]
    fn a_journal_that_does_not_answer_is_asked_again_but_not_for_ever() {
        let mut asked = Asked::default();
        for _ in 0..TRIES {
            assert!(asked.is_due(&run("a"), false));
            asked.note(false);
        }
        assert!(!asked.is_due(&run("a"), false));
    }
}
