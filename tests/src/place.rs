//! A folder of its own for each test to run the command in, and what the command said.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::{Running, TINY, shipped};

/// A [`Place`]: `place!()` is empty, `place!(64)` has `tiny.toml` and, in `fashion`, 64 + 40 real
/// pictures in two parts.
///
/// A macro, since it is to the tests themselves that cargo says where the command is.
#[macro_export]
macro_rules! place {
    () => {
        $crate::Place::new(env!("CARGO_BIN_EXE_tandem-under-test"))
    };
    ($pictures:expr) => {
        $crate::Place::with_pictures(env!("CARGO_BIN_EXE_tandem-under-test"), $pictures)
    };
}

/// The working folder of a test's commands, removed at its end.
#[derive(Debug)]
pub struct Place {
    folder: TempDir,
    tandem: &'static str,
}

impl Place {
    /// See [`place`].
    pub fn new(tandem: &'static str) -> Self {
        let folder = tempfile::tempdir();
        Self {
            folder: folder.expect("a folder in the system's folder for temporary files"),
            tandem,
        }
    }

    /// See [`place`].
    pub fn with_pictures(tandem: &'static str, train: usize) -> Self {
        let place = Self::new(tandem);
        place.write("tiny.toml", TINY);
        shipped(&place.path("fashion"), train, 40);
        place
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, and makes the folders it is in.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn text(&self, name: impl AsRef<Path>) -> String {
        String::from_utf8(self.read(name)).expect("a text file")
    }

    /// Makes the run in `folder` one that was stopped before it was first saved.
    pub fn remove_checkpoints(&self, folder: &str) {
        let run = self.path(folder);
        for file in ["last.safetensors", "best.safetensors"] {
            fs::remove_file(run.join(file)).unwrap();
        }
        fs::remove_dir_all(run.join("state")).unwrap();
    }

    pub fn holds(&self, name: impl AsRef<Path>) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The names in `folder`, sorted.
    pub fn names(&self, folder: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The command, to be run here.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(self.tandem);
        command
            .args(args)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs the command to its end.
    pub fn tandem(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Done {
        let mut command = self.command(args);
        Done::of(&mut command)
    }

    /// Starts the command and leaves it running.
    pub fn start(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Running {
        let mut command = self.command(args);
        Running::start(&mut command)
    }

    /// Runs the command and checks that it refuses, in one sentence that holds every one of `says`,
    /// and leaves nothing behind.
    pub fn refuses(
        &self,
        code: i32,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
        says: &[&str],
    ) {
        let before = self.names(".");
        self.tandem(args).refused(code, says);
        assert_eq!(self.names("."), before, "nothing is left behind");
    }
}

/// A command that ended.
#[derive(Debug)]
pub struct Done {
    /// For the message of a test that fails.
    #[expect(dead_code, reason = "printed by Debug")]
    command: String,
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Done {
    pub fn of(command: &mut Command) -> Self {
        Self::of_streams(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// With its standard output written to `file`.
    pub fn of_writing(command: &mut Command, file: fs::File) -> Self {
        Self::of_streams(command.stdout(file).stderr(Stdio::piped()))
    }

    fn of_streams(command: &mut Command) -> Self {
        let child = command.spawn().expect("the command runs");
        let output = child.wait_with_output().expect("a child can be waited for");
        Self::from_output(format!("{command:?}"), output)
    }

    pub(crate) fn from_output(command: String, output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the command writes UTF-8");
        Self {
            command,
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.exits(0)
    }

    /// An error that tells all of `says`, and nothing on standard output.
    #[track_caller]
    pub fn refused(self, code: i32, says: &[&str]) -> Self {
        let done = self.exits(code);
        for words in says {
            assert!(
                done.stderr.contains(words),
                "does not say `{words}`: {done:#?}"
            );
        }
        let mut lines = done.stderr.lines();
        assert!(lines.any(|line| line.starts_with("error: ")), "{done:#?}");
        assert!(!done.stderr.contains("panicked"), "{done:#?}");
        assert_eq!(done.stdout, "", "{done:#?}");
        done
    }
}
