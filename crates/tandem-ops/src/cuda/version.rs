//! Which kernel does an operation's work where there are two.

use std::cell::Cell;

/// The first version of a kernel, a thread a value or a sum and the formula as it is written, or the
/// one that replaced it. Programs run the fast one wherever it serves; tests and `tandem bench` compare
/// the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Naive,
    #[default]
    Fast,
}

thread_local! {
    static CURRENT: Cell<Version> = const { Cell::new(Version::Fast) };
}

impl Version {
    pub const ALL: [Self; 2] = [Self::Fast, Self::Naive];

    /// Runs `work` with this version of every kernel that this thread launches meanwhile.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        struct Restore(Version);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0);
            }
        }
        let _restore = Restore(CURRENT.replace(self));
        work()
    }

    /// The naive version where it is asked for, or where a fast one does not serve the sizes.
    pub(super) fn serving(fast_serves: bool) -> Self {
        if fast_serves {
            CURRENT.get()
        } else {
            Self::Naive
        }
    }

    /// `self`'s of a pair.
    pub(super) fn of<V>(self, fast: V, naive: V) -> V {
        match self {
            Self::Naive => naive,
            Self::Fast => fast,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_for_the_work_it_was_given_even_when_that_panics() {
        let inside = Version::Naive.run(|| {
            let innermost = Version::Fast.run(|| Version::serving(true));
            (innermost, Version::serving(true))
        });
        assert_eq!(inside, (Version::Fast, Version::Naive));
        let panicked = std::panic::catch_unwind(|| Version::Naive.run(|| panic!("in between")));
        assert!(panicked.is_err());
        assert_eq!(Version::serving(true), Version::Fast);
    }
}
