//! `CUDA_EMULATOR_FAULTS`: a machine that is not as it should be, for tests of what a program then says.

use std::sync::atomic::Ordering::Relaxed;

use super::{Driver, Status};

/// What `CUDA_EMULATOR_FAULTS` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Injected {
    /// `driver:12040`: the driver is of this version and refuses PTX that is newer.
    pub driver: Option<u32>,
    /// `peer` and `peer-corrupt`.
    pub peer: Peer,
    /// `lost:N`: the device of launch N + 1 of the process is lost.
    pub lost: Option<u64>,
    /// `deaf:N`: wait N + 1 of a stream for an event does not wait.
    pub deaf: Option<u64>,
}

/// Copies between two devices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Peer {
    /// As they should.
    #[default]
    Works,
    /// `peer`: no copies and no peer access.
    Refused,
    /// `peer-corrupt`: a copy succeeds and zeros arrive, as they do through an IOMMU that is set up wrong.
    Corrupt,
}

impl Injected {
    /// From the words of `CUDA_EMULATOR_FAULTS`.
    pub fn parse(list: &str) -> Result<Injected, String> {
        let mut injected = Injected::default();
        for word in list.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            let (name, value) = word.split_once(':').unzip();
            let number = |value: Option<&str>| value.and_then(|v| v.parse::<u32>().ok());
            match (name.unwrap_or(word), number(value)) {
                ("driver", Some(version)) => injected.driver = Some(version),
                ("lost", Some(launches)) => injected.lost = Some(launches.into()),
                ("deaf", Some(waits)) => injected.deaf = Some(waits.into()),
                ("peer", None) if value.is_none() => injected.peer = Peer::Refused,
                ("peer-corrupt", None) if value.is_none() => injected.peer = Peer::Corrupt,
                _ => {
                    return Err(format!(
                        "CUDA_EMULATOR_FAULTS={word}: `driver:VERSION`, `peer`, `peer-corrupt`, `lost:LAUNCHES` and `deaf:WAITS` are known"
                    ));
                }
            }
        }
        Ok(injected)
    }

    /// The newest PTX that the driver knows, as NVIDIA's "PTX release history" has it.
    pub fn newest_ptx(&self) -> Option<(u32, u32)> {
        let (major, minor) = self.driver.map(|v| (v / 1000, v % 1000 / 10))?;
        Some(match (major, minor) {
            (..=11, _) => (7, minor),
            (12, ..=5) => (8, minor),
            (12, _) => (8, minor - 1), // CUDA 12.6 brought no new PTX
            _ => (9, minor),
        })
    }
}

impl Driver {
    /// `device`, unless it is lost: then what a GPU gives that has fallen off the bus.
    pub(super) fn alive(&self, device: usize) -> Result<usize, Status> {
        if self.devices[device].lost.load(Relaxed) {
            return Err(Status::UNKNOWN);
        }
        Ok(device)
    }

    /// Counts a launch, which may be the one that its device does not survive.
    pub(super) fn survive_launch(&self, device: usize) -> Result<(), Status> {
        let before = self.launches.fetch_add(1, Relaxed);
        if self.configuration.injected.lost == Some(before) {
            self.devices[device].lost.store(true, Relaxed);
        }
        self.alive(device).map(|_| ())
    }

    /// Whether a device can reach another's memory.
    pub fn can_access_peer(&self, device: usize, peer: usize) -> bool {
        device != peer && self.configuration.injected.peer != Peer::Refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_nonsense_is_refused() {
        let injected = Injected::parse("driver:12040, peer-corrupt,lost:7,deaf:3").unwrap();
        assert_eq!(injected.driver, Some(12040));
        assert_eq!(injected.peer, Peer::Corrupt);
        assert_eq!(injected.lost, Some(7));
        assert_eq!(injected.deaf, Some(3));
        assert_eq!(Injected::parse(""), Ok(Injected::default()));
        for wrong in [
            "driver",
            "driver:new",
            "peer:1",
            "lost",
            "deaf",
            "no-device",
        ] {
            assert!(Injected::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_driver_knows_the_ptx_of_its_time() {
        let newest = |driver| {
            Injected {
                driver,
                ..Injected::default()
            }
            .newest_ptx()
        };
        assert_eq!(newest(None), None);
        assert_eq!(newest(Some(11080)), Some((7, 8)));
        assert_eq!(newest(Some(12040)), Some((8, 4)));
        assert_eq!(newest(Some(12060)), Some((8, 5)));
        assert_eq!(newest(Some(12090)), Some((8, 8)));
        assert_eq!(newest(Some(13000)), Some((9, 0)));
    }
}
