//! `hf:OWNER/NAME`: a data set of the hub as a folder on this machine.

use anyhow::Result;

/// What `--data` names, as [`tandem_data::open`] takes it: of the hub the folder in the cache, once it
/// is there; anything else as it is.
pub fn located(named: &str) -> Result<String> {
    if named.starts_with("hf:") {
        download::folder(named)
    } else {
        Ok(named.to_owned())
    }
}

/// The same data, whatever its owner uploads tomorrow: of the hub with the commit, anything else as it
/// is. What a run remembers.
pub fn pinned(named: &str) -> Result<String> {
    if named.starts_with("hf:") {
        download::pinned(named)
    } else {
        Ok(named.to_owned())
    }
}

#[cfg(feature = "hub")]
mod download {
    use std::io::{self, IsTerminal};
    use std::time::Instant;

    use anyhow::{Context, Result};
    use indicatif::{ProgressBar, ProgressStyle};
    use tandem_hub::{Name, Progress, Snapshot};

    use crate::failure::Failure;
    use crate::report::progress::{CALM, write_line};
    use crate::report::table::bytes;

    pub fn folder(named: &str) -> Result<String> {
        let folder = snapshot(named)?.1.data;
        let text = folder
            .to_str()
            .context("the hub's cache has a name that is no text")?;
        Ok(text.to_owned())
    }

    pub fn pinned(named: &str) -> Result<String> {
        let (name, snapshot) = snapshot(named)?;
        Ok(name.at(&snapshot.commit)?.to_string())
    }

    fn snapshot(named: &str) -> Result<(Name, Snapshot)> {
        let name: Name = named.parse().map_err(Failure::from_typing)?;
        let mut shown = Shown::new();
        let snapshot = tandem_hub::dataset(named, &mut |progress| shown.show(named, progress));
        shown.bar.finish_and_clear();
        Ok((name, snapshot?))
    }

    /// A bar on a terminal, a line now and then elsewhere.
    struct Shown {
        bar: ProgressBar,
        last: Instant,
    }

    impl Shown {
        fn new() -> Self {
            let bar = if io::stderr().is_terminal() {
                let template =
                    "{prefix} {bar:20.cyan/blue} {bytes}/{total_bytes}  {eta} left  {wide_msg}";
                let style = ProgressStyle::with_template(template)
                    .expect("the template is a constant that parses");
                ProgressBar::new(0)
                    .with_style(style)
                    .with_prefix("downloading")
            } else {
                ProgressBar::hidden()
            };
            Self {
                bar,
                last: Instant::now(),
            }
        }

        fn show(&mut self, named: &str, progress: Progress) {
            self.bar.set_length(progress.total);
            self.bar.set_position(progress.done);
            self.bar.set_message(progress.file.to_owned());
            if self.bar.is_hidden() && self.last.elapsed() >= CALM {
                self.last = Instant::now();
                let (done, total) = (bytes(progress.done), bytes(progress.total));
                write_line(&format!("downloading {named}: {done} of {total}"));
            }
        }
    }
}

#[cfg(not(feature = "hub"))]
mod download {
    use anyhow::Result;

    use crate::failure::Failure;

    pub fn folder(named: &str) -> Result<String> {
        let what = format!("{named}: this build cannot download from the hub");
        Err(Failure::usage(what, "build with --features hub, or give a folder").into())
    }

    pub use folder as pinned;
}
