//! The `tandem` command these tests run: built by cargo, as they are, into the folder they are in.
//!
//! Cargo tells a test where the commands of its own package are, and this one is another's. That a
//! package may depend on another's command is not stable (`-Z bindeps`), and a command that was
//! built some time ago may be of another commit: so cargo is asked to build it, which costs nothing
//! where it is up to date.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub(crate) fn tandem() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    // target[/TRIPLE]/PROFILE/deps/TEST
    let test = env::current_exe().expect("the system knows where a test is");
    let profile = test
        .ancestors()
        .nth(2)
        .expect("cargo puts tests two folders below the target folder");
    let mut target = profile.parent().expect("and that is in a folder too");
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args(["build", "--quiet", "--package", "tandem-cli"])
        .args(["--bin", "tandem", "--profile"])
        .arg(match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") => "dev",
            Some(profile) => profile,
            None => panic!("{} is no target folder of cargo's", profile.display()),
        });
    // Cargo marks its target folders; the one above was made for `--target TRIPLE`.
    if !target.join("CACHEDIR.TAG").exists() {
        cargo
            .arg("--target")
            .arg(target.file_name().expect("a triple"));
        target = target.parent().expect("a target folder");
    }
    cargo
        .arg("--target-dir")
        .arg(target)
        .arg("--manifest-path")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    let built = cargo.output().expect("cargo runs");
    assert!(
        built.status.success(),
        "{cargo:?} failed, and without the command there is nothing to test:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    profile.join(format!("tandem{}", env::consts::EXE_SUFFIX))
}
