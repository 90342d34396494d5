//! Which device holds which tower.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::PlacementError;
use crate::nearest::hint;

/// A device by name: `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceName {
    Cpu,
    Cuda(usize),
}

/// The devices of a run: one for all towers, or one for each.
///
/// `cpu,cpu` and `cuda:0,cuda:0` are two places on one device: towers are computed apart and hand
/// activations over, as on two devices. Results, and so checkpoints, are the same for every
/// placement, to rounding.
///
/// ```
/// use tandem_alexnet::placement::Placement;
///
/// let placement: Placement = "cuda:0,cuda:1".parse()?;
/// assert_eq!(placement.places(), 2);
/// assert_eq!(placement.place_of(1), 1);
/// assert_eq!(placement.to_string(), "cuda:0,cuda:1");
/// assert_eq!("cpu".parse::<Placement>()?.place_of(1), 0);
/// # Ok::<(), tandem_alexnet::error::PlacementError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Placement {
    devices: Vec<DeviceName>,
}

impl Placement {
    /// Everything on the CPU.
    pub fn cpu() -> Self {
        Self {
            devices: vec![DeviceName::Cpu],
        }
    }

    /// Places that towers live in: 1, or one a tower.
    pub fn places(&self) -> usize {
        self.devices.len()
    }

    /// The device of each place.
    pub fn devices(&self) -> &[DeviceName] {
        &self.devices
    }

    /// The place of tower `tower`.
    pub fn place_of(&self, tower: usize) -> usize {
        tower % self.devices.len()
    }

    /// Whether the number of devices suits a network whose widest layer has `towers` towers.
    pub fn check(&self, towers: usize) -> Result<(), PlacementError> {
        let devices = self.devices.len();
        if devices == 1 || devices == towers {
            return Ok(());
        }
        Err(PlacementError::Count { devices, towers })
    }

    /// Opens the device of each place; a device named twice is opened once.
    pub fn open(&self) -> Result<Vec<candle_core::Device>, PlacementError> {
        let mut opened: Vec<candle_core::Device> = Vec::with_capacity(self.devices.len());
        for (place, name) in self.devices.iter().enumerate() {
            let device = match self.devices[..place]
                .iter()
                .position(|earlier| earlier == name)
            {
                Some(earlier) => opened[earlier].clone(),
                None => name.open()?,
            };
            opened.push(device);
        }
        Ok(opened)
    }
}

impl Placement {
    /// Bytes free on the GPU of each place, with the device open; none for a CPU. Two places on one
    /// GPU share what is free.
    pub fn free_memory(&self) -> Result<Vec<Option<u64>>, PlacementError> {
        self.open()?.iter().map(free_memory).collect()
    }
}

#[cfg(feature = "cuda")]
fn free_memory(device: &candle_core::Device) -> Result<Option<u64>, PlacementError> {
    let gpu = tandem_ops::cuda::driver::gpu(device)?;
    Ok(gpu.map(|gpu| gpu.free as u64))
}

#[cfg(not(feature = "cuda"))]
fn free_memory(_device: &candle_core::Device) -> Result<Option<u64>, PlacementError> {
    Ok(None)
}

impl DeviceName {
    fn open(self) -> Result<candle_core::Device, PlacementError> {
        match self {
            DeviceName::Cpu => Ok(candle_core::Device::Cpu),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda(ordinal) => Ok(tandem_ops::cuda::device::open(ordinal)?),
            #[cfg(not(feature = "cuda"))]
            DeviceName::Cuda(_) => Err(PlacementError::NotInThisBuild {
                device: self.to_string(),
            }),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Cpu => f.write_str("cpu"),
            DeviceName::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = PlacementError;

    fn from_str(name: &str) -> Result<Self, PlacementError> {
        let name = name.trim();
        let ordinal = name
            .strip_prefix("cuda:")
            .and_then(|n| n.parse::<u16>().ok());
        match (name, ordinal) {
            ("cpu", _) => Ok(DeviceName::Cpu),
            (_, Some(ordinal)) => Ok(DeviceName::Cuda(ordinal.into())),
            _ => Err(PlacementError::UnknownDevice {
                name: name.to_owned(),
                hint: hint(name, ["cpu", "cuda:0"]),
            }),
        }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.devices.iter().map(DeviceName::to_string).collect();
        f.write_str(&names.join(","))
    }
}

impl FromStr for Placement {
    type Err = PlacementError;

    fn from_str(list: &str) -> Result<Self, PlacementError> {
        let devices = list.split(',').map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { devices })
    }
}

impl TryFrom<String> for Placement {
    type Error = PlacementError;

    fn try_from(list: String) -> Result<Self, PlacementError> {
        list.parse()
    }
}

impl From<Placement> for String {
    fn from(placement: Placement) -> String {
        placement.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_known_is_named_with_what_is() {
        let error = "cdua:0".parse::<Placement>().unwrap_err().to_string();
        assert!(
            error.contains("`cdua:0`") && error.contains("did you mean `cuda:0`"),
            "{error}"
        );
        for wrong in ["", "cuda", "cuda:", "cuda:-1", "cpu,", "cuda:99999999999"] {
            assert!(
                wrong.parse::<Placement>().is_err(),
                "{wrong:?} must be refused"
            );
        }
    }

    #[test]
    fn three_devices_do_not_suit_two_towers() {
        let three: Placement = "cpu,cpu,cpu".parse().unwrap();
        let error = three.check(2).unwrap_err().to_string();
        assert_eq!(
            error,
            "3 devices for 2 towers: give one device for all towers, or 2"
        );
        assert!(Placement::cpu().check(2).is_ok());
    }

    #[test]
    fn a_device_named_twice_is_opened_once_for_each_place() {
        let devices = "cpu,cpu".parse::<Placement>().unwrap().open().unwrap();
        assert_eq!(devices.len(), 2);
    }
}
