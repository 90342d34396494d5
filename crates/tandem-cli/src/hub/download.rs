//! What is fetched from the hub, and how far it is.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use tandem_hub::{Hub, HubError, Model, Name, Progress, Settings, Snapshot, Wanted};

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
    let snapshot = shown(Doing::Downloading, named, |progress| {
        hub()?.dataset(&name, progress)
    })?;
    Ok((name, snapshot))
}

pub fn weights(named: &str) -> Result<(PathBuf, String)> {
    let model = model(named, Wanted::AnyForm)?;
    let name: Name = named.parse().map_err(Failure::from_typing)?;
    let pinned = name.at(&model.commit)?.with_part(&model.weights);
    Ok((model.path(), pinned.to_string()))
}

pub fn companion(named: &str, beside: &str) -> Result<Option<PathBuf>> {
    let model = match model(named, Wanted::WeightsWith(&[beside])) {
        // Another framework's weights stand alone.
        Err(error) if matches!(error.downcast_ref(), Some(HubError::NoWeights { .. })) => {
            return Ok(None);
        }
        model => model?,
    };
    Ok(model.companions.first().map(|file| model.folder.join(file)))
}

pub fn model(named: &str, wanted: Wanted) -> Result<Model> {
    let name: Name = named.parse().map_err(Failure::from_typing)?;
    shown(Doing::Downloading, named, |progress| {
        hub()?.model(&name, wanted, progress)
    })
}

/// The hub of the environment, which says when it is slow to answer.
pub fn hub() -> Result<Hub, HubError> {
    Hub::new(Settings {
        notice: |words| write_line(&format!("note: {words}")),
        ..Settings::from_environment()?
    })
}

/// What `get` gives, its progress shown meanwhile.
pub fn shown<T>(
    doing: Doing,
    named: &str,
    get: impl FnOnce(&mut dyn FnMut(Progress)) -> Result<T, HubError>,
) -> Result<T> {
    let mut shown = Shown::new(doing);
    let got = get(&mut |progress| shown.show(named, progress));
    shown.bar.finish_and_clear();
    Ok(got?)
}

/// Which way the bytes go.
#[derive(Debug, Clone, Copy)]
pub enum Doing {
    Downloading,
    Uploading,
}

impl Doing {
    fn word(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Uploading => "uploading",
        }
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Shown {
    doing: &'static str,
    bar: ProgressBar,
    last: Instant,
}

impl Shown {
    fn new(doing: Doing) -> Self {
        let doing = doing.word();
        let bar = if io::stderr().is_terminal() {
            let template =
                "{prefix} {bar:20.cyan/blue} {bytes}/{total_bytes}  {eta} left  {wide_msg}";
            let style = ProgressStyle::with_template(template)
                .expect("the template is a constant that parses");
            ProgressBar::new(0).with_style(style).with_prefix(doing)
        } else {
            ProgressBar::hidden()
        };
        Self {
            doing,
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
            write_line(&format!("{} {named}: {done} of {total}", self.doing));
        }
    }
}
