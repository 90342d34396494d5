//! A 64-bit fingerprint of data that is the same on every machine and in every version.
//!
//! It tells one data set from another by accident, not by intent: it is no cryptographic hash.

/// Accumulates words; see the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn new() -> Self {
        Self(0x243f_6a88_85a3_08d3)
    }

    pub(crate) fn word(&mut self, word: u64) {
        // The multiply-and-fold step of MurmurHash's finaliser, once a word.
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 ^= self.0 >> 33;
    }

    /// Length first, so that neighbouring fields cannot run into each other.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last));
    }

    pub(crate) fn finish(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn neighbouring_fields_do_not_run_into_each_other() {
        let of = |fields: [&str; 2]| {
            let mut f = Fingerprint::new();
            fields.iter().for_each(|field| f.bytes(field.as_bytes()));
            f.finish()
        };
        assert_ne!(of(["ab", "c"]), of(["a", "bc"]));
        assert_eq!(of(["ab", "c"]), of(["ab", "c"]));
    }
}
