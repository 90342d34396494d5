//! Memory that an operation needs only while it computes, kept for the next one.
//!
//! New memory is cleared before it is handed out, also where the allocator had it already. Where every value
//! is written anyway that is a pass for nothing.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

use crate::real::Real;

/// Buffers that nobody uses at the moment, the shortest first.
pub struct Pool<T>(Mutex<Vec<Vec<T>>>);

/// Buffers kept at most: what the threads of a large machine need at a time.
const KEPT: usize = 64;

impl<T: Real> Pool<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// A buffer of `len` values or more.
    fn take(&self, len: usize) -> Vec<T> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The shortest that is long enough; the longest of those that are not gives way to it.
        let at = kept.partition_point(|buffer| buffer.len() < len);
        let at = at.min(kept.len().saturating_sub(1));
        let buffer = (!kept.is_empty()).then(|| kept.remove(at));
        drop(kept);
        buffer
            .filter(|buffer| buffer.len() >= len)
            .unwrap_or_else(|| vec![T::ZERO; len])
    }

    fn keep(&self, buffer: Vec<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.partition_point(|other| other.len() < buffer.len());
        kept.insert(at, buffer);
        if kept.len() > KEPT {
            // The shortest is the cheapest to make anew.
            kept.remove(0);
        }
    }
}

/// Values of an operation's own, with whatever an operation before left in them.
///
/// They are to be written before they are read. Where debug assertions are on they are not numbers, so that
/// a test sees who does not.
pub struct Scratch<T: Real> {
    buffer: Vec<T>,
    len: usize,
}

impl<T: Real> Scratch<T> {
    pub fn new(len: usize) -> Self {
        let mut buffer = T::pool().take(len);
        if cfg!(debug_assertions) {
            buffer[..len].fill(T::from_f64(f64::NAN));
        }
        Self { buffer, len }
    }
}

impl<T: Real> Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer[..self.len]
    }
}

impl<T: Real> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[..self.len]
    }
}

impl<T: Real> Drop for Scratch<T> {
    fn drop(&mut self) {
        T::pool().keep(mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_where_it_is_long_enough() {
        let pool = Pool::<f64>::new();
        let [short, long] = [10, 1000].map(|len| pool.take(len));
        let addresses = [short.as_ptr(), long.as_ptr()];
        pool.keep(long);
        pool.keep(short);
        let taken = [7, 11].map(|len| pool.take(len));
        assert_eq!(taken.each_ref().map(|buffer| buffer.as_ptr()), addresses);
        taken.into_iter().for_each(|buffer| pool.keep(buffer));
        assert_eq!(pool.take(1001).len(), 1001);
        assert_eq!(pool.take(1001).len(), 1001);
        assert!(pool.0.lock().unwrap().is_empty());
    }

    #[test]
    fn not_more_are_kept_than_a_machine_needs() {
        let pool = Pool::<f32>::new();
        (1..=2 * KEPT).for_each(|len| pool.keep(vec![0.0; len]));
        let kept = pool.0.lock().unwrap();
        assert_eq!((kept.len(), kept[0].len()), (KEPT, KEPT + 1));
    }
}
