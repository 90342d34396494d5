//! NVIDIA's driver, its GPUs and the toolkit's libraries, found by looking at files: loading them
//! would need unsafe code and, on a broken installation, could take this command down with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use super::{Machine, Missing};

/// What cudarc loads at run time beside the driver: the compiler of our kernels, matrix products,
/// random numbers.
const LIBRARIES: [&str; 3] = ["libnvrtc.so", "libcublas.so", "libcurand.so"];

/// NVIDIA's number among PCI vendors.
const NVIDIA: &str = "0x10de";

#[derive(Debug, Serialize)]
pub(super) struct Cuda {
    /// Whether this build of the command can compute on a GPU.
    in_this_build: bool,
    /// The kernel module's version.
    driver: Option<String>,
    /// The driver's library, which programs load.
    libcuda: Option<PathBuf>,
    gpus: Vec<Gpu>,
    /// GPUs on the bus, whether or not a driver serves them.
    on_bus: usize,
    toolkit: Option<PathBuf>,
    nvcc: Option<PathBuf>,
    libraries: BTreeMap<&'static str, Option<PathBuf>>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Gpu {
    name: String,
    memory: Option<String>,
    compute_capability: Option<String>,
}

impl Cuda {
    pub(super) fn of(machine: &Machine) -> Self {
        let toolkit = toolkit(machine);
        let folders = library_folders(machine, toolkit.as_deref());
        let mut programs = machine.folders_in("PATH");
        programs.extend(toolkit.iter().map(|toolkit| toolkit.join("bin")));
        let find_program = |name: &str| {
            programs
                .iter()
                .map(|f| f.join(name))
                .find(|path| machine.at(path).is_file())
        };
        Self {
            in_this_build: candle_core::utils::cuda_is_available(),
            driver: driver(machine),
            libcuda: library(machine, &folders, "libcuda.so"),
            gpus: gpus(machine, find_program("nvidia-smi").as_deref()),
            on_bus: on_bus(machine),
            nvcc: find_program("nvcc"),
            libraries: LIBRARIES
                .map(|name| (name, library(machine, &folders, name)))
                .into(),
            toolkit,
        }
    }

    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let path = |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or("not found".to_owned(), |p| p.display().to_string())
        };
        let build = if self.in_this_build {
            "computes on CPU and CUDA"
        } else {
            "computes on the CPU only"
        };
        let driver = self
            .driver
            .clone()
            .unwrap_or_else(|| "not found".to_owned());
        let mut lines = vec![
            ("this build", build.to_owned()),
            ("driver", driver),
            ("libcuda", path(&self.libcuda)),
            ("toolkit", path(&self.toolkit)),
            ("nvcc", path(&self.nvcc)),
        ];
        for (name, place) in &self.libraries {
            lines.push((name.trim_end_matches(".so"), path(place)));
        }
        for (number, gpu) in self.gpus.iter().enumerate() {
            let details: Vec<String> = [
                Some(gpu.name.clone()),
                gpu.memory.clone(),
                gpu.compute_capability
                    .as_ref()
                    .map(|version| format!("compute capability {version}")),
            ]
            .into_iter()
            .flatten()
            .collect();
            lines.push(("GPU", format!("cuda:{number}  {}", details.join(", "))));
        }
        if self.gpus.is_empty() {
            lines.push(("GPU", "none found".to_owned()));
        }
        lines
    }

    /// What keeps a GPU from being used, the first thing to get first.
    pub(super) fn missing(&self) -> Vec<Missing> {
        if self.gpus.is_empty() && self.on_bus == 0 && self.driver.is_none() {
            return vec![Missing::new(
                "an NVIDIA GPU",
                "None was found. Everything runs on the CPU; --devices cpu is the default.",
            )];
        }
        let mut missing = Vec::new();
        if self.driver.is_none() && self.gpus.is_empty() {
            missing.push(Missing::new(
                "NVIDIA's driver",
                "A GPU is on the bus but no driver serves it: install your distribution's package \
                 (Ubuntu: ubuntu-drivers install; Debian: apt install nvidia-driver) or \
                 https://www.nvidia.com/drivers, and restart.",
            ));
        }
        if self.libcuda.is_none() {
            missing.push(Missing::new(
                "libcuda.so",
                "It comes with the driver. In a container: start it with --gpus all and NVIDIA's container toolkit.",
            ));
        }
        let absent: Vec<&str> = self
            .libraries
            .iter()
            .filter(|(_, place)| place.is_none())
            .map(|(name, _)| *name)
            .collect();
        if !absent.is_empty() {
            missing.push(Missing::new(
                absent.join(", "),
                "They come with the CUDA toolkit: https://developer.nvidia.com/cuda-downloads. \
                 If it is installed elsewhere, set CUDA_HOME to its folder.",
            ));
        }
        missing
    }
}

/// The first thing in NVIDIA's line of the kernel that looks like a version:
/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build`.
fn driver(machine: &Machine) -> Option<String> {
    let version = |text: String| {
        let numbers = |word: &&str| {
            word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok())
        };
        text.split_whitespace().find(numbers).map(str::to_owned)
    };
    let files = ["/proc/driver/nvidia/version", "/sys/module/nvidia/version"];
    files
        .into_iter()
        .find_map(|file| machine.read(file).and_then(version))
}

fn gpus(machine: &Machine, nvidia_smi: Option<&Path>) -> Vec<Gpu> {
    nvidia_smi
        .and_then(|program| asked(&machine.at(program)))
        .unwrap_or_else(|| listed(machine))
}

/// The GPUs as nvidia-smi tells of them; none where it fails.
fn asked(nvidia_smi: &Path) -> Option<Vec<Gpu>> {
    let query = [
        "--query-gpu=name,memory.total,compute_cap",
        "--format=csv,noheader",
    ];
    let output = Command::new(nvidia_smi)
        .args(query)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| parse_smi(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_smi(lines: &str) -> Vec<Gpu> {
    let gpu = |line: &str| {
        let mut fields = line
            .split(',')
            .map(|field| field.trim().to_owned())
            .filter(|field| !field.is_empty());
        Some(Gpu {
            name: fields.next()?,
            memory: fields.next(),
            compute_capability: fields.next(),
        })
    };
    lines.lines().filter_map(gpu).collect()
}

/// The GPUs the kernel module lists, by name alone.
fn listed(machine: &Machine) -> Vec<Gpu> {
    let mut folders = inside(&machine.at("/proc/driver/nvidia/gpus"));
    folders.sort();
    let name = |folder: PathBuf| {
        let information = fs::read_to_string(folder.join("information")).ok()?;
        let model = information
            .lines()
            .find_map(|line| line.strip_prefix("Model:"))?;
        Some(Gpu {
            name: model.trim().to_owned(),
            memory: None,
            compute_capability: None,
        })
    };
    folders.into_iter().filter_map(name).collect()
}

/// Display controllers (PCI class 03) made by NVIDIA.
fn on_bus(machine: &Machine) -> usize {
    let is_gpu = |device: &PathBuf| {
        let starts = |file: &str, with: &str| {
            fs::read_to_string(device.join(file)).is_ok_and(|text| text.trim().starts_with(with))
        };
        starts("vendor", NVIDIA) && starts("class", "0x03")
    };
    inside(&machine.at("/sys/bus/pci/devices"))
        .iter()
        .filter(|device| is_gpu(device))
        .count()
}

fn toolkit(machine: &Machine) -> Option<PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH", "CUDA_ROOT"]
        .into_iter()
        .filter_map(|name| machine.variable(name));
    let usual = ["/usr/local/cuda", "/opt/cuda"].map(Into::into);
    named
        .chain(usual)
        .map(PathBuf::from)
        .find(|folder| machine.at(folder).is_dir())
}

fn library_folders(machine: &Machine, toolkit: Option<&Path>) -> Vec<PathBuf> {
    let arch = std::env::consts::ARCH;
    let mut folders = machine.folders_in("LD_LIBRARY_PATH");
    if let Some(toolkit) = toolkit {
        folders.extend(["lib64", "lib"].map(|inside| toolkit.join(inside)));
    }
    folders.push(format!("/usr/lib/{arch}-linux-gnu").into());
    folders.extend(
        [
            "/usr/lib64",
            "/usr/lib",
            "/usr/lib/wsl/lib",
            "/run/opengl-driver/lib",
        ]
        .map(PathBuf::from),
    );
    folders
}

/// The first file that is `name` or `name.1.2`, by the folders' order.
fn library(machine: &Machine, folders: &[PathBuf], name: &str) -> Option<PathBuf> {
    folders.iter().find_map(|folder| {
        let files = inside(&machine.at(folder));
        let mut names = files.iter().filter_map(|file| file.file_name()?.to_str());
        let found = names.find(|file| {
            file.strip_prefix(name)
                .is_some_and(|v| v.is_empty() || v.starts_with('.'))
        })?;
        Some(folder.join(found))
    })
}

/// What a folder holds; nothing where it cannot be read.
fn inside(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map_or_else(
        |_| Vec::new(),
        |entries| entries.flatten().map(|entry| entry.path()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    const DRIVER: (&str, &str) = (
        "/proc/driver/nvidia/version",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build\nGCC version: gcc 13.2.0\n",
    );
    const GPU: (&str, &str) = (
        "/proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA H200\nIRQ: 1\n",
    );

    fn whats(cuda: &Cuda) -> Vec<String> {
        cuda.missing()
            .into_iter()
            .map(|missing| missing.what)
            .collect()
    }

    #[test]
    fn a_complete_machine_lacks_nothing() {
        let home = |name: &str| (name == "CUDA_HOME").then(|| "/opt/cuda-13".into());
        let files = [
            DRIVER,
            GPU,
            ("/usr/lib64/libcuda.so.1", ""),
            ("/opt/cuda-13/lib64/libnvrtc.so.13", ""),
            ("/opt/cuda-13/lib64/libcublas.so", ""),
            ("/opt/cuda-13/lib64/libcurand.so.10.4", ""),
            ("/opt/cuda-13/bin/nvcc", ""),
        ];
        let (_folder, machine) = machine(&files, home);
        let found = Cuda::of(&machine);
        assert_eq!(found.driver.as_deref(), Some("570.124.06"));
        assert_eq!(found.gpus[0].name, "NVIDIA H200");
        assert_eq!(
            found.nvcc.as_deref(),
            Some(Path::new("/opt/cuda-13/bin/nvcc"))
        );
        assert_eq!(
            found.libraries["libnvrtc.so"].as_deref(),
            Some(Path::new("/opt/cuda-13/lib64/libnvrtc.so.13"))
        );
        assert!(whats(&found).is_empty(), "{:?}", whats(&found));
    }

    #[test]
    fn a_gpu_without_a_driver_needs_the_driver_first() {
        let bus = "/sys/bus/pci/devices/0000:01:00.0";
        let files = [
            (format!("{bus}/vendor"), "0x10de\n"),
            (format!("{bus}/class"), "0x030200\n"),
        ];
        let files: Vec<_> = files
            .iter()
            .map(|(path, text)| (path.as_str(), *text))
            .collect();
        let (_folder, machine) = machine(&files, |_| None);
        let missing = whats(&Cuda::of(&machine));
        assert_eq!(
            missing,
            [
                "NVIDIA's driver",
                "libcuda.so",
                "libcublas.so, libcurand.so, libnvrtc.so"
            ]
        );
    }

    #[test]
    fn a_driver_without_a_toolkit_needs_the_toolkit() {
        let (_folder, machine) = machine(&[DRIVER, GPU, ("/usr/lib64/libcuda.so.1", "")], |_| None);
        assert_eq!(
            whats(&Cuda::of(&machine)),
            ["libcublas.so, libcurand.so, libnvrtc.so"]
        );
    }

    #[test]
    fn a_library_of_a_longer_name_is_another_library() {
        let (_folder, machine) = machine(
            &[
                ("/usr/lib64/libcudart.so", ""),
                ("/usr/lib64/libcuda.sox", ""),
            ],
            |_| None,
        );
        assert_eq!(Cuda::of(&machine).libcuda, None);
    }

    #[test]
    fn the_answer_of_nvidia_smi_is_read_a_line_a_gpu() {
        let gpus = parse_smi("NVIDIA H200, 143771 MiB, 9.0\nNVIDIA A100, 81920 MiB, 8.0\n");
        assert_eq!(gpus.len(), 2);
        assert_eq!(gpus[1].compute_capability.as_deref(), Some("8.0"));
        assert_eq!(gpus[0].memory.as_deref(), Some("143771 MiB"));
    }
}
