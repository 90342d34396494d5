//! Loads and stores: all lanes at once where they meet one region, else one by one.

use crate::checks::FaultKind;
use crate::machine::access::Surroundings;
use crate::machine::instruction::{Place, Slot};
use crate::machine::scalar::Lanes;
use crate::machine::shadow::Access;

use super::{Warp, lanes};

/// A fault is a lane's.
pub(super) type Outcome<T> = Result<T, (FaultKind, usize)>;

impl Warp {
    #[inline(always)]
    pub(super) fn address(&self, place: &Place, lane: usize) -> u64 {
        self.registers[place.base as usize][lane].wrapping_add(place.offset as u64) & place.wrap
    }

    #[inline(always)]
    pub(super) fn addresses(&self, place: &Place) -> Lanes {
        self.registers[place.base as usize]
            .map(|base| base.wrapping_add(place.offset as u64) & place.wrap)
    }

    pub(super) fn load(
        &mut self,
        place: &Place,
        signed: bool,
        bits: u64,
        parts: &[Option<Slot>],
        mask: u32,
        around: &Surroundings,
    ) -> Outcome<()> {
        let whole = place.size * parts.len() as u32;
        let addresses = self.addresses(place);
        if let Some(run) = around.run(place.space, &addresses, mask, whole, Access::Read) {
            for (k, part) in parts.iter().enumerate() {
                let values = around.load_run(&run, k as u32, place, self.epoch)?;
                if let Some(part) = part {
                    let values = values.map(|v| extend(v, place.size, signed) & bits);
                    self.write(*part, &values, mask);
                }
            }
            return Ok(());
        }
        let mut last = None;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let at = |kind| (kind, lane);
            let spot = around
                .spot(place.space, address, whole, lane, Access::Read, &mut last)
                .map_err(at)?;
            for (k, part) in parts.iter().enumerate() {
                let value = around
                    .load(spot, k as u32, place, address, lane, self.epoch)
                    .map_err(at)?;
                if let Some(part) = part {
                    self.registers[*part as usize][lane] = extend(value, place.size, signed) & bits;
                }
            }
        }
        Ok(())
    }

    pub(super) fn store(
        &mut self,
        place: &Place,
        parts: &[Slot],
        mask: u32,
        around: &Surroundings,
    ) -> Outcome<()> {
        let whole = place.size * parts.len() as u32;
        let addresses = self.addresses(place);
        if let Some(run) = around.run(place.space, &addresses, mask, whole, Access::Write) {
            return parts.iter().enumerate().try_for_each(|(k, part)| {
                let values = &self.registers[*part as usize];
                around.store_run(&run, k as u32, place, values, self.epoch)
            });
        }
        let mut last = None;
        for lane in lanes(mask) {
            let address = addresses[lane];
            let at = |kind| (kind, lane);
            let spot = around
                .spot(place.space, address, whole, lane, Access::Write, &mut last)
                .map_err(at)?;
            for (k, part) in parts.iter().enumerate() {
                let value = self.registers[*part as usize][lane];
                around
                    .store(spot, k as u32, place, value, address, lane, self.epoch)
                    .map_err(at)?;
            }
        }
        Ok(())
    }
}

#[inline(always)]
pub(super) fn extend(value: u64, size: u32, signed: bool) -> u64 {
    match (signed, size) {
        (true, 1) => value as i8 as u64,
        (true, 2) => value as i16 as u64,
        (true, 4) => value as i32 as u64,
        _ => value,
    }
}
