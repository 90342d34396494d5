//! A piece of memory: bytes, which of them were written, and who touched them last.
//!
//! Device allocations, a block's shared memory and a warp's local memory are all regions. The words are
//! atomics, so blocks that run on different cores may race as they would on a GPU without breaking Rust.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::shadow::Shadow;
use super::touched::Marks;

/// Read-modify-write of eight bytes takes this lock; of four and less, compare-and-swap does.
static WIDE: Mutex<()> = Mutex::new(());

/// Memory with its shadows.
pub struct Region {
    /// Address of the first byte.
    pub base: u64,
    /// In bytes.
    pub size: u64,
    /// Kernels may not write it.
    pub read_only: bool,
    /// Who touched it last.
    pub shadow: Shadow,
    /// Which launches touched it last.
    pub marks: Marks,
    words: Box<[AtomicU32]>,
    /// A bit a byte, four a word.
    written: Box<[AtomicU8]>,
}

impl Region {
    /// Memory that nothing has written yet.
    pub fn new(base: u64, size: u64) -> Region {
        let words = (size as usize).div_ceil(4);
        Region {
            base,
            size,
            read_only: false,
            shadow: Shadow::new(words),
            marks: Marks::default(),
            words: bytemuck::zeroed_slice_box(words),
            written: bytemuck::zeroed_slice_box(words),
        }
    }

    /// Whether `size` bytes at `address` lie inside.
    #[inline(always)]
    pub fn contains(&self, address: u64, size: u32) -> bool {
        let offset = address.wrapping_sub(self.base);
        offset < self.size && u64::from(size) <= self.size - offset
    }

    /// Reads 1, 2, 4 or 8 bytes at an aligned offset.
    #[inline(always)]
    pub fn load(&self, offset: u64, size: u32) -> u64 {
        let word = (offset / 4) as usize;
        let low = u64::from(self.words[word].load(Relaxed));
        match size {
            4 => low,
            8 => low | u64::from(self.words[word + 1].load(Relaxed)) << 32,
            2 => low >> (8 * (offset & 2)) & 0xffff,
            _ => low >> (8 * (offset & 3)) & 0xff,
        }
    }

    /// Writes 1, 2, 4 or 8 bytes at an aligned offset and marks them written.
    #[inline(always)]
    pub fn store(&self, offset: u64, size: u32, value: u64) {
        let word = (offset / 4) as usize;
        match size {
            4 => {
                self.words[word].store(value as u32, Relaxed);
                self.written[word].store(0xf, Relaxed);
            }
            8 => {
                self.words[word].store(value as u32, Relaxed);
                self.words[word + 1].store((value >> 32) as u32, Relaxed);
                self.written[word].store(0xf, Relaxed);
                self.written[word + 1].store(0xf, Relaxed);
            }
            _ => {
                self.update(offset, size, |_| Some(value));
            }
        }
    }

    /// Whether all `size` bytes at an aligned offset were written.
    #[inline(always)]
    pub fn is_written(&self, offset: u64, size: u32) -> bool {
        let word = (offset / 4) as usize;
        match size {
            4 => self.written[word].load(Relaxed) == 0xf,
            8 => self.written[word].load(Relaxed) & self.written[word + 1].load(Relaxed) == 0xf,
            _ => {
                let mask = ((1u8 << size) - 1) << (offset & 3);
                self.written[word].load(Relaxed) & mask == mask
            }
        }
    }

    /// Atomically replaces a value by what `f` makes of it (`None` leaves it) and returns the old one.
    pub fn update(&self, offset: u64, size: u32, f: impl Fn(u64) -> Option<u64>) -> u64 {
        let word = (offset / 4) as usize;
        if size == 8 {
            let _guard = WIDE.lock().unwrap_or_else(PoisonError::into_inner);
            let old = self.load(offset, 8);
            if let Some(new) = f(old) {
                self.store(offset, 8, new);
            }
            return old;
        }
        let shift = 8 * (offset & 3) as u32;
        let mask = if size == 4 {
            u32::MAX
        } else {
            ((1u32 << (8 * size)) - 1) << shift
        };
        let mut seen = self.words[word].load(Relaxed);
        loop {
            let old = u64::from((seen & mask) >> shift);
            let Some(new) = f(old) else { return old };
            let merged = seen & !mask | (new as u32) << shift & mask;
            match self.words[word].compare_exchange_weak(seen, merged, Relaxed, Relaxed) {
                Ok(_) => {
                    let bytes = ((1u8 << size) - 1) << (offset & 3);
                    self.written[word].fetch_or(bytes, Relaxed);
                    return old;
                }
                Err(now) => seen = now,
            }
        }
    }

    /// Forgets what was written; the bytes keep their values.
    pub fn forget(&self) {
        for mask in &self.written {
            mask.store(0, Relaxed);
        }
    }

    /// Copies bytes in.
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            if at.is_multiple_of(4) && rest.len() >= 4 {
                self.store(
                    at,
                    4,
                    u64::from(u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]])),
                );
                at += 4;
                rest = &rest[4..];
            } else {
                self.store(at, 1, u64::from(rest[0]));
                at += 1;
                rest = &rest[1..];
            }
        }
    }

    /// Copies bytes out. The offset of the first byte that was never written, if there is one, is returned.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Option<u64> {
        let mut unwritten = None;
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = if at.is_multiple_of(4) && rest.len() >= 4 {
                4
            } else {
                1
            };
            if unwritten.is_none() && !self.is_written(at, size) {
                unwritten = (at..).find(|&b| !self.is_written(b, 1));
            }
            let value = self.load(at, size).to_le_bytes();
            let (head, tail) = rest.split_at_mut(size as usize);
            head.copy_from_slice(&value[..size as usize]);
            at += u64::from(size);
            rest = tail;
        }
        unwritten
    }

    /// Copies bytes of another region together with what is known of them.
    pub fn copy_from(&self, offset: u64, other: &Region, from: u64, size: u64) {
        let mut done = 0;
        while done < size {
            let (to, at) = (offset + done, from + done);
            let step = if to.is_multiple_of(4)
                && at.is_multiple_of(4)
                && size - done >= 4
                && other.is_written(at, 4)
            {
                4
            } else {
                1
            };
            if other.is_written(at, step) {
                self.store(to, step, other.load(at, step));
            } else {
                self.written[(to / 4) as usize].fetch_and(!(1 << (to & 3)), Relaxed);
            }
            done += u64::from(step);
        }
    }
}
