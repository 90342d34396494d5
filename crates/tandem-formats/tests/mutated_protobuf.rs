//! Damaged Caffe and ONNX files: 100,000 of each are read or refused, without a panic, in
//! time and in little memory.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tandem_data::fuzzing::Counting;
use tandem_formats::{Options, import_bytes};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Most memory that reading a file of a kilobyte may take: a mean picture of the largest side that is
/// taken, and a second while its channels are turned round.
const LARGEST: usize = 64 << 20;

const INPUTS: usize = 100_000;

/// One to five changes: a bit, a byte, a length, a piece gone or twice, the end gone.
fn mutated(seed: &[u8], below: &mut impl FnMut(usize) -> usize) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = below(bytes.len());
        let end = bytes.len().min(at + below(100));
        match below(8) {
            0 => bytes.truncate(at),
            1 | 2 => bytes[at] ^= 1 << below(8),
            3 => bytes[at] = below(256) as u8,
            // A varint as large as there are.
            4 => {
                let length = below(10);
                bytes.splice(at..at, std::iter::repeat_n(0xff, length).chain([0x7f]));
            }
            5 => {
                let piece = bytes[at..end].to_vec();
                let to = below(bytes.len());
                bytes.splice(to..to, piece);
            }
            6 => bytes[at] = bytes[at].wrapping_add(1),
            _ => drop(bytes.drain(at..end)),
        }
    }
    bytes
}

/// How many of the mutations of `seeds` are still read.
fn read(seeds: &[&[u8]], options: &Options) -> usize {
    for (i, seed) in seeds.iter().enumerate() {
        if let Err(problem) = import_bytes(seed, options) {
            panic!("seed {i}: {problem}");
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(2012);
    let mut below = |limit: usize| (random.next_u64() % limit.max(1) as u64) as usize;
    let mut read = 0;
    for i in 0..INPUTS {
        let bytes = mutated(seeds[i % seeds.len()], &mut below);
        match import_bytes(&bytes, options) {
            Ok(_) => read += 1,
            Err(problem) => assert!(!problem.to_string().is_empty()),
        }
    }
    read
}

#[test]
fn a_mutated_caffemodel_is_read_or_refused() {
    let seeds: [&[u8]; 2] = [
        include_bytes!("../../../fuzz/seeds/caffe/v1"),
        include_bytes!("../../../fuzz/seeds/caffe/current"),
    ];
    let (read, most) = COUNTING.most(|| read(&seeds, &Options::default()));
    assert!(0 < read && read < INPUTS, "{read}");
    assert!(most < LARGEST, "{most} bytes");
}

#[test]
fn a_mutated_onnx_model_is_read_or_refused() {
    let seeds: [&[u8]; 1] = [include_bytes!("../../../fuzz/seeds/onnx/tiny")];
    let (read, most) = COUNTING.most(|| read(&seeds, &Options::default()));
    assert!(0 < read && read < INPUTS, "{read}");
    assert!(most < LARGEST, "{most} bytes");
}
