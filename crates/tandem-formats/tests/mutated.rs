//! Files of which any byte is another: read or refused, without a panic, in time and in little memory.

mod common;

use std::fs;

use common::fixture;
use tandem_data::fuzzing::{Counting, INPUTS, mutate};
use tandem_formats::{Options, import_bytes};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Most memory that reading a file of some ten thousand bytes may take: what a pickle of all the
/// instructions that are followed would make, which no file of this length can hold, is more.
const LARGEST: usize = 8 << 20;

/// Classes of the network in `bytes`, if it is accepted.
fn parse(bytes: &[u8]) -> Option<usize> {
    let imported = import_bytes(bytes, &Options::default()).ok()?;
    Some(imported.weights.classes.len())
}

/// Mutates `seeds`; how many are still accepted.
fn survives(seeds: &[Vec<u8>], parse: impl Fn(&[u8]) -> Option<usize>) -> u64 {
    let (kept, most) = COUNTING.most(|| mutate(seeds, parse));
    assert!(0 < kept && kept < INPUTS, "{kept}");
    assert!(most < LARGEST, "{most} bytes");
    kept
}

/// Parses after `mend`, which makes the outer form hold again, so that mutations reach what is within.
fn mended(mend: impl Fn(&mut [u8])) -> impl Fn(&[u8]) -> Option<usize> {
    move |bytes| {
        let mut bytes = bytes.to_vec();
        mend(&mut bytes);
        parse(&bytes)
    }
}

fn seeds(names: &[&str]) -> Vec<Vec<u8>> {
    let read = |name: &&str| fs::read(fixture(name)).unwrap();
    names.iter().map(read).collect()
}

#[test]
fn a_mutated_zip_is_read_or_refused() {
    let seeds = seeds(&["tiny-half.pth", "tiny-shared-zip.pth", "tiny-example.pth"]);
    let kept = survives(&seeds, parse);
    let reached = survives(&seeds, mended(with_checksums));
    assert!(kept < reached, "{kept}, {reached}");
}

#[test]
fn a_mutated_stream_is_read_or_refused() {
    let names = [
        "tiny-stream.pth",
        "tiny-shared-stream.pth",
        "tiny-parallel-stream.pth",
    ];
    survives(&seeds(&names), parse);
}

#[test]
fn a_mutated_tar_is_read_or_refused() {
    survives(
        &seeds(&["tiny-tar.pth", "tiny-shared-tar.pth"]),
        mended(with_tar_checksums),
    );
}

#[test]
fn a_mutated_safetensors_is_read_or_refused() {
    let imported = tandem_formats::import(&fixture("tiny-half.pth"), &Options::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let seeds: Vec<Vec<u8>> = [
        tandem_formats::Target::Safetensors,
        tandem_formats::Target::Torchvision,
    ]
    .into_iter()
    .map(|target| {
        let file = folder.path().join(format!("{target:?}"));
        let half = tandem_formats::Precision::Half;
        tandem_formats::export(&imported.weights, target, half, &file).unwrap();
        fs::read(file).unwrap()
    })
    .collect();
    survives(&seeds, parse);
}

/// Each member's checksum in the directory made that of its bytes.
fn with_checksums(file: &mut [u8]) {
    let number = |file: &[u8], at: usize, length: usize| -> Option<usize> {
        let bytes = file.get(at..)?.get(..length)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |n, &byte| n << 8 | usize::from(byte)),
        )
    };
    for at in 0..file.len().saturating_sub(46) {
        if !file[at..].starts_with(b"PK\x01\x02") {
            continue;
        }
        let checksum = (|| {
            let (length, header) = (number(file, at + 24, 4)?, number(file, at + 42, 4)?);
            let start = header + 30 + number(file, header + 26, 2)? + number(file, header + 28, 2)?;
            Some(crc32fast::hash(file.get(start..)?.get(..length)?))
        })();
        if let Some(checksum) = checksum {
            file[at + 16..at + 20].copy_from_slice(&checksum.to_le_bytes());
        }
    }
}

fn with_tar_checksums(file: &mut [u8]) {
    for block in file.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            let mut header = tar::Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

#[test]
fn a_mutated_npy_is_read_or_refused() {
    let model = tandem_alexnet::spec::Spec::read(&fixture("tiny-bvlc.toml")).unwrap();
    let options = Options {
        model: Some(model),
        ..Options::default()
    };
    let seeds =
        ["tiny-bvlc-list.npy", "tiny-bvlc-dict.npy"].map(|name| fs::read(fixture(name)).unwrap());
    let parse = |bytes: &[u8]| import_bytes(bytes, &options).ok().map(|_| 1);
    survives(&seeds, parse);
}
