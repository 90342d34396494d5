//! Pinned host memory. A GPU copies from and to it while the host goes on, so what arrives is there only once the
//! host has waited for it, and what is sent must stay as it is until then.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::ffi::{c_uint, c_void};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{CuResult, code, put};
use crate::driver::{Place, Status, Work, driver, report};

/// A copy that the host has not waited for.
struct Copy {
    address: usize,
    size: usize,
    by: Work,
    content: Content,
}

enum Content {
    /// Sent: a hash of the bytes, which the host may not change yet.
    Sent(u64),
    /// Received: the bytes, which the host may not see yet.
    Due(Vec<u8>),
}

#[derive(Default)]
struct Pinned {
    /// By their addresses.
    blocks: BTreeMap<usize, Box<[u64]>>,
    /// In the order in which they were asked for.
    copies: Vec<Copy>,
}

static PINNED: Mutex<Option<Pinned>> = Mutex::new(None);

fn with<R>(f: impl FnOnce(&mut Pinned) -> R) -> R {
    let mut pinned: MutexGuard<_> = PINNED.lock().unwrap_or_else(PoisonError::into_inner);
    f(pinned.get_or_insert_default())
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Pinned {
    /// Where the block begins that an address is in.
    fn block(&self, address: usize) -> Option<usize> {
        let (&start, block) = self.blocks.range(..=address).next_back()?;
        (address < start + size_of_val::<[u64]>(block)).then_some(start)
    }

    /// Ends the copies that `over` says are over: what was sent is still the same, and what was received is there.
    fn end(&mut self, over: impl Fn(&Copy) -> bool) -> Result<(), Status> {
        let mut result = Ok(());
        let mut running = Vec::new();
        for copy in self.copies.drain(..) {
            if !over(&copy) {
                running.push(copy);
                continue;
            }
            match copy.content {
                Content::Due(bytes) => {
                    // SAFETY: a range within a block that is still there: copies end before their block is freed.
                    unsafe {
                        std::ptr::copy_nonoverlapping(
                            bytes.as_ptr(),
                            copy.address as *mut u8,
                            bytes.len(),
                        );
                    }
                }
                Content::Sent(before) => {
                    // SAFETY: as above.
                    let now =
                        unsafe { std::slice::from_raw_parts(copy.address as *const u8, copy.size) };
                    if hash(now) != before {
                        report(&format!(
                            "pinned memory written too early: the host changed {} bytes at {:#x} while a copy to device memory that it had not waited for could still read them",
                            copy.size, copy.address
                        ));
                        result = Err(Status::LAUNCH_FAILED);
                    }
                }
            }
        }
        self.copies = running;
        result
    }
}

/// Whether host memory is pinned, and where its block begins.
pub(super) fn place(memory: *const c_void) -> Option<Place> {
    let address = memory as usize;
    with(|pinned| pinned.block(address)).map(|block| Place::Host(address as u64, block as u64))
}

/// Bytes of pinned memory as the work finds them that sends them to a device.
///
/// # Safety
///
/// `memory` is valid for reading `size` bytes.
pub(super) unsafe fn send(
    memory: *const c_void,
    size: usize,
    by: &Work,
) -> Result<Vec<u8>, Status> {
    let address = memory as usize;
    with(|pinned| {
        pinned.end(|copy| driver().is_before(&copy.by, by))?;
        // SAFETY: the caller vouches for the pointer.
        let bytes = unsafe { std::slice::from_raw_parts(memory.cast::<u8>(), size) }.to_vec();
        pinned.copies.push(Copy {
            address,
            size,
            by: by.clone(),
            content: Content::Sent(hash(&bytes)),
        });
        Ok(bytes)
    })
}

/// Bytes from a device, which the host will find in pinned memory when it has waited for them.
pub(super) fn receive(memory: *mut c_void, bytes: Vec<u8>, by: &Work) -> Result<(), Status> {
    with(|pinned| {
        pinned.end(|copy| driver().is_before(&copy.by, by))?;
        pinned.copies.push(Copy {
            address: memory as usize,
            size: bytes.len(),
            by: by.clone(),
            content: Content::Due(bytes),
        });
        Ok(())
    })
}

/// To be called when the host has waited for something.
pub(super) fn settle() -> Result<(), Status> {
    with(|pinned| pinned.end(|copy| driver().is_over(&copy.by)))
}

/// `cuMemHostAlloc` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostAlloc(
    memory: *mut *mut c_void,
    size: usize,
    _flags: c_uint,
) -> CuResult {
    let mut block = vec![0u64; size.div_ceil(8).max(1)].into_boxed_slice();
    let start = block.as_mut_ptr();
    with(|pinned| pinned.blocks.insert(start as usize, block));
    // SAFETY: the caller vouches for the pointer.
    code(unsafe { put(memory, start.cast()) })
}

/// `cuMemAllocHost_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocHost_v2(memory: *mut *mut c_void, size: usize) -> CuResult {
    // SAFETY: the same as ours.
    unsafe { cuMemHostAlloc(memory, size, 0) }
}

/// `cuMemFreeHost` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemFreeHost(memory: *mut c_void) -> CuResult {
    let start = memory as usize;
    code(with(|pinned| {
        let Some(block) = pinned.blocks.get(&start) else {
            return Err(Status::INVALID_VALUE);
        };
        let block = start..start + size_of_val::<[u64]>(block);
        let place = Place::Host(start as u64, start as u64);
        let free = driver().host_may_free(place);
        driver().forget_uses(place);
        let ended = pinned.end(|copy| block.contains(&copy.address));
        pinned.blocks.remove(&start);
        free.and(ended)
    }))
}

/// `cuMemHostRegister_v2` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostRegister_v2(
    _memory: *mut c_void,
    _size: usize,
    _flags: c_uint,
) -> CuResult {
    Status::SUCCESS.0
}

/// `cuMemHostUnregister` of the CUDA driver API.
///
/// # Safety
///
/// Pointers are valid as the CUDA documentation asks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemHostUnregister(_memory: *mut c_void) -> CuResult {
    Status::SUCCESS.0
}
