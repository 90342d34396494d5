//! `tandem doctor`: what this machine has for Tandem, what is missing, and how to get it.

mod cache;
mod cuda;
mod gpus;
mod processor;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;

use crate::args::Doctor;
use crate::output::print;

pub fn run(args: &Doctor) -> Result<()> {
    let findings = Findings::of(&Machine::this(), gpus::Gpus::met());
    let text = if args.json {
        serde_json::to_string(&findings)? + "\n"
    } else {
        findings.text()
    };
    print(&text)
}

/// Model, cores and memory of this machine in a line.
pub fn processor_in_words() -> String {
    let lines = processor::Processor::of(&Machine::this()).lines();
    let wanted = |(name, _): &(&str, _)| ["model", "vectors", "cores"].contains(name);
    let words = lines.into_iter().filter(wanted).map(|(_, words)| words);
    words.collect::<Vec<_>>().join("; ")
}

/// Where to look: the file system and the environment, so that tests can look at machines that are
/// not this one.
struct Machine {
    root: PathBuf,
    variable: fn(&str) -> Option<OsString>,
}

impl Machine {
    fn this() -> Self {
        Self {
            root: PathBuf::from("/"),
            variable: |name| env::var_os(name),
        }
    }

    /// `path`, which is absolute, on this machine.
    fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.at(path)).ok()
    }

    /// A variable that is set to something.
    fn variable(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// The folders a variable such as PATH lists.
    fn folders_in(&self, name: &str) -> Vec<PathBuf> {
        self.variable(name)
            .map_or_else(Vec::new, |list| env::split_paths(&list).collect())
    }
}

#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    processor: processor::Processor,
    cuda: cuda::Cuda,
    gpus: gpus::Gpus,
    cache: cache::Cache,
    missing: Vec<Missing>,
}

/// Something Tandem could use, and how to get it.
#[derive(Debug, Serialize)]
struct Missing {
    what: String,
    how: String,
}

impl Missing {
    fn new(what: impl Into<String>, how: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            how: how.into(),
        }
    }
}

impl Findings {
    fn of(machine: &Machine, gpus: gpus::Gpus) -> Self {
        let cuda = cuda::Cuda::of(machine);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            processor: processor::Processor::of(machine),
            missing: match (gpus.serve(), gpus.error()) {
                (true, _) => Vec::new(),
                (false, Some(error)) => vec![Missing::new("GPUs that this build can use", error)],
                (false, None) => cuda.missing(),
            },
            cuda,
            gpus,
            cache: cache::Cache::of(machine),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("tandem {}\n", self.version);
        let sections = [
            ("Processor", self.processor.lines()),
            ("CUDA", self.cuda.lines()),
            ("GPUs as this build meets them", self.gpus.lines()),
            ("Hugging Face", self.cache.lines()),
        ];
        for (title, lines) in sections {
            text.push_str(&format!("\n{title}\n"));
            for (name, value) in lines {
                text.push_str(&format!("  {name:<12}{value}\n"));
            }
        }
        text.push('\n');
        if self.missing.is_empty() {
            text.push_str("Nothing is missing.\n");
        }
        for Missing { what, how } in &self.missing {
            text.push_str(&format!("Missing: {what}\n  {how}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine of the files given, each a path and what it holds.
    pub(super) fn machine(
        files: &[(&str, &str)],
        variable: fn(&str) -> Option<OsString>,
    ) -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine {
            root: folder.path().to_owned(),
            variable,
        };
        for (path, text) in files {
            let path = machine.at(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        (folder, machine)
    }

    #[test]
    fn a_bare_machine_is_described_without_a_failure() {
        let (_folder, machine) = machine(&[], |_| None);
        let findings = Findings::of(&machine, gpus::Gpus::default());
        let text = findings.text();
        assert!(text.contains("Missing: an NVIDIA GPU"), "{text}");
        let json = serde_json::to_value(&findings).unwrap();
        assert!(json["cuda"]["driver"].is_null() && json["cache"]["token"].is_null());
        assert_eq!(json["missing"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn why_a_build_for_gpus_can_use_none_is_what_is_missing() {
        let (_folder, machine) = machine(&[], |_| None);
        let gpus = gpus::Gpus::failing("the driver is old: install a newer one");
        let text = Findings::of(&machine, gpus).text();
        let said =
            "Missing: GPUs that this build can use\n  the driver is old: install a newer one\n";
        assert!(text.ends_with(said), "{text}");
    }

    #[test]
    fn no_part_of_a_token_is_ever_printed() {
        let token =
            |name: &str| (name == "HF_TOKEN").then(|| OsString::from("hf_not_a_real_token"));
        let (_folder, machine) = machine(&[], token);
        let findings = Findings::of(&machine, gpus::Gpus::default());
        let json = serde_json::to_string(&findings).unwrap();
        for text in [findings.text(), json] {
            assert!(
                text.contains("HF_TOKEN") && !text.contains("hf_not"),
                "{text}"
            );
        }
    }
}
