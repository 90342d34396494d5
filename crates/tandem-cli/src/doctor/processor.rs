//! The processor, its vector instructions, and memory.

use std::collections::HashSet;
use std::thread;

use serde::Serialize;

use super::Machine;
use crate::report::table::bytes;

#[derive(Debug, Serialize)]
pub(super) struct Processor {
    model: Option<String>,
    architecture: &'static str,
    /// Of the vector instructions our loops have a path for, those that are there.
    vectors: Vec<&'static str>,
    physical_cores: Option<usize>,
    /// What this process may use, by affinity and control group.
    usable_cores: Option<usize>,
    /// What it will use: --threads or all of them.
    threads: usize,
    memory_bytes: Option<u64>,
    available_bytes: Option<u64>,
    /// What the control group allows, where it allows less than there is.
    limit_bytes: Option<u64>,
}

impl Processor {
    pub(super) fn of(machine: &Machine) -> Self {
        let cpuinfo = machine.read("/proc/cpuinfo").unwrap_or_default();
        let meminfo = machine.read("/proc/meminfo").unwrap_or_default();
        let memory_bytes = kilobytes(&meminfo, "MemTotal:");
        let limit = machine
            .read("/sys/fs/cgroup/memory.max")
            .and_then(|text| text.trim().parse().ok());
        Self {
            model: value(&cpuinfo, "model name").map(str::to_owned),
            architecture: std::env::consts::ARCH,
            vectors: vectors(),
            physical_cores: physical_cores(&cpuinfo),
            usable_cores: thread::available_parallelism().ok().map(usize::from),
            threads: rayon::current_num_threads(),
            memory_bytes,
            available_bytes: kilobytes(&meminfo, "MemAvailable:"),
            limit_bytes: limit.filter(|&limit: &u64| memory_bytes.is_none_or(|all| limit < all)),
        }
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let unknown = || "not known".to_owned();
        let cores = self
            .usable_cores
            .map_or_else(unknown, |cores| format!("{cores} usable"));
        let physical = self
            .physical_cores
            .map_or_else(String::new, |cores| format!(", {cores} physical"));
        let memory = match (self.memory_bytes, self.available_bytes) {
            (Some(all), Some(free)) => format!("{}, {} available", bytes(all), bytes(free)),
            (Some(all), None) => bytes(all),
            (None, _) => unknown(),
        };
        let limit = self.limit_bytes.map_or_else(String::new, |limit| {
            format!(", limited to {}", bytes(limit))
        });
        let vectors = if self.vectors.is_empty() {
            "none we have a path for".to_owned()
        } else {
            self.vectors.join(", ")
        };
        vec![
            (
                "model",
                self.model
                    .clone()
                    .unwrap_or_else(|| self.architecture.to_owned()),
            ),
            ("vectors", vectors),
            ("cores", cores + &physical),
            ("threads", self.threads.to_string()),
            ("memory", memory + &limit),
        ]
    }
}

#[cfg(target_arch = "x86_64")]
fn vectors() -> Vec<&'static str> {
    let found = [
        ("AVX2", is_x86_feature_detected!("avx2")),
        ("FMA", is_x86_feature_detected!("fma")),
        ("AVX-512", is_x86_feature_detected!("avx512f")),
    ];
    found
        .into_iter()
        .filter_map(|(name, here)| here.then_some(name))
        .collect()
}

#[cfg(target_arch = "aarch64")]
fn vectors() -> Vec<&'static str> {
    if std::arch::is_aarch64_feature_detected!("neon") {
        vec!["NEON"]
    } else {
        Vec::new()
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors() -> Vec<&'static str> {
    Vec::new()
}

/// Of a file of `name : value` lines, the first value of `name`.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Cores told apart by package and number; none where the kernel does not say (ARM, some guests).
fn physical_cores(cpuinfo: &str) -> Option<usize> {
    let cores: HashSet<_> = cpuinfo
        .split("\n\n")
        .filter_map(|one| Some((value(one, "physical id")?, value(one, "core id")?)))
        .collect();
    (!cores.is_empty()).then_some(cores.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    #[test]
    fn two_threads_of_one_core_are_one_core() {
        let one = "processor : 0\nmodel name : A CPU @ 2.0\nphysical id : 0\ncore id : 0\n\n";
        let files = [
            ("/proc/cpuinfo", one.repeat(2)),
            (
                "/proc/meminfo",
                "MemTotal:  2048 kB\nMemAvailable: 1024 kB\n".to_owned(),
            ),
            ("/sys/fs/cgroup/memory.max", "1048576\n".to_owned()),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        let (_folder, machine) = machine(&files, |_| None);
        let found = Processor::of(&machine);
        assert_eq!(
            (found.model.as_deref(), found.physical_cores),
            (Some("A CPU @ 2.0"), Some(1))
        );
        assert_eq!(
            (found.memory_bytes, found.limit_bytes),
            (Some(2 << 20), Some(1 << 20))
        );
        let memory = &found.lines()[4].1;
        assert_eq!(memory, "2.00 MiB, 1.00 MiB available, limited to 1.00 MiB");
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (_folder, machine) = machine(&[("/sys/fs/cgroup/memory.max", "max\n")], |_| None);
        assert_eq!(Processor::of(&machine).limit_bytes, None);
    }
}
