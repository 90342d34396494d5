//! The memory of batches, used again and again.
//!
//! A batch of 128 crops of 224 × 224 takes 77 MB. Memory that the system gives out afresh is cleared
//! page by page as it is first written, which takes three times as long as making the pictures. And
//! what is not given back cannot grow: an epoch of any length lives in the buffers of its first batches.

use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// The pictures of a batch. Dropped, its memory goes back to the loader it came from.
#[derive(Debug, Clone)]
pub struct Buffer<T> {
    values: Vec<T>,
    home: Pool<T>,
}

impl<T> Buffer<T> {
    /// The values as an owned vector, which does not go back: the loader will ask for new memory.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<T> {
        std::mem::take(&mut self.values)
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl<T> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.home.give_back(std::mem::take(&mut self.values));
    }
}

/// Where buffers wait to be used again, at most so many.
#[derive(Debug)]
pub(crate) struct Pool<T> {
    free: Arc<Mutex<Vec<Vec<T>>>>,
    most: usize,
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self {
            free: self.free.clone(),
            most: self.most,
        }
    }
}

impl<T> Pool<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            free: Arc::default(),
            most,
        }
    }

    fn give_back(&self, values: Vec<T>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if values.capacity() > 0 && free.len() < self.most {
            free.push(values);
        }
    }
}

impl<T: Copy + Default> Pool<T> {
    /// A buffer of `len` values, whichever: those of its last use, as a rule.
    pub(crate) fn take(&self, len: usize) -> Buffer<T> {
        let last = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let mut values = last.unwrap_or_default();
        values.truncate(len);
        if values.len() < len {
            values.reserve_exact(len - values.len());
            values.resize(len, T::default());
        }
        Buffer {
            values,
            home: self.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pool;

    #[test]
    fn memory_comes_back_and_is_given_out_again() {
        let pool = Pool::<f32>::new(2);
        let mut first = pool.take(4);
        first.as_mut_slice().fill(1.0);
        let place = first.as_ptr();
        drop(first);
        let again = pool.take(3);
        assert_eq!((again.as_ptr(), &*again), (place, &[1.0; 3][..]));
        assert_ne!(pool.take(3).as_ptr(), place);
    }

    #[test]
    fn what_became_a_vector_does_not_come_back() {
        let pool = Pool::<u8>::new(2);
        let vector = pool.take(4).into_vec();
        assert!(pool.free.lock().unwrap().is_empty());
        assert_eq!(vector, [0; 4]);
    }

    #[test]
    fn no_more_wait_than_may() {
        let pool = Pool::<u8>::new(2);
        drop([1, 2, 3].map(|len| pool.take(len)));
        assert_eq!(pool.free.lock().unwrap().len(), 2);
    }
}
