//! The parsers of untrusted bytes, for fuzz targets and for the mutation test below: each takes any
//! bytes, without a panic, a hang or more memory than it states. And what such tests share.

mod counting;

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

pub use counting::Counting;

use crate::decode::decode_bytes;
use crate::pack::shard::Header;
use crate::sources::{devkit, idx, labels, mat5, parquet, tar, webdataset};

/// Scans a tar; gives how many files it holds.
pub fn tar(bytes: &[u8]) -> Option<usize> {
    let length = bytes.len() as u64;
    let mut files = 0;
    let scanned = tar::scan(Cursor::new(bytes), length, |member| {
        // What a reader relies on: every member lies inside.
        assert!(member.offset + member.length <= length);
        files += 1;
        ControlFlow::Continue(())
    });
    scanned.ok().map(|()| files)
}

/// Reads a devkit's `meta.mat`; gives how many classes it has.
pub fn mat5(bytes: &[u8]) -> Option<usize> {
    // Also without the checks that a devkit must pass.
    let entries = mat5::struct_array(bytes, "synsets", ["words", "WNID"]).ok();
    let classes = devkit::parse_meta(bytes).ok().map(|classes| classes.len());
    assert!(classes <= entries.map(|entries| entries.len()));
    classes
}

/// Reads an IDX file of pictures, plain or gzip; gives how many pictures it has.
pub fn idx(bytes: &[u8]) -> Option<usize> {
    idx::pictures(Path::new("fuzzed"), bytes).ok()
}

/// Reads the lists of labels: the devkit's, Kaggle's, Tiny-ImageNet's and a shard's JSON.
pub fn lists(bytes: &[u8]) -> usize {
    let text = String::from_utf8_lossy(bytes);
    let classes = labels::places(&["n01440764".to_string(), "n01751748".to_string()]);
    devkit::parse_ground_truth(&text, 1000).map_or(0, |ids| ids.len())
        + labels::parse(&text, &classes, labels::kaggle).map_or(0, |labels| labels.len())
        + labels::parse(&text, &classes, labels::tiny).map_or(0, |labels| labels.len())
        + usize::from(webdataset::parse_json(bytes).is_ok())
}

/// Opens a parquet file and unpacks all its pages; gives how many rows they hold.
pub fn parquet(bytes: &[u8]) -> Option<usize> {
    parquet::scan(bytes)
}

/// Checks a shard of a pack and takes hold of all that is in it; gives how many pictures it has.
pub fn shard(bytes: &[u8]) -> Option<usize> {
    let header = Header::read(bytes).ok()?;
    for i in 0..header.pictures {
        let _ = header.stored(bytes, i);
    }
    let _ = header.text(bytes);
    let _ = header.tally(bytes);
    Some(header.pictures)
}

/// Decodes a picture, a JPEG most of all; gives how many bytes it has decoded.
pub fn picture(bytes: &[u8]) -> Option<usize> {
    decode_bytes(bytes).ok().map(|picture| picture.pixels.len())
}

/// Mutated inputs a parser.
pub const INPUTS: u64 = 100_000;

/// Runs `parse` on `seeds`, which it must accept, and on [`INPUTS`] mutations of them; gives how
/// many of those it still accepts.
pub fn mutate<T>(seeds: &[Vec<u8>], parse: impl Fn(&[u8]) -> Option<T>) -> u64 {
    for (i, seed) in seeds.iter().enumerate() {
        assert!(parse(seed).is_some(), "seed {i} is not accepted");
    }
    let mut random = ChaCha8Rng::seed_from_u64(2012);
    let mut below = |limit: usize| (random.next_u64() % limit.max(1) as u64) as usize;
    let mut accepted = 0;
    for i in 0..INPUTS {
        let mut bytes = seeds[i as usize % seeds.len()].clone();
        for _ in 0..=below(4) {
            if bytes.is_empty() {
                break;
            }
            let at = below(bytes.len());
            match below(6) {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << below(8),
                2 => bytes[at] = below(256) as u8,
                // A length field, as the formats have them, in either byte order.
                3 => {
                    let length = [0, 1, 0x7fff_ffff, 0xffff_ffff, bytes.len() as u32][below(5)];
                    let field = if below(2) == 0 {
                        length.to_le_bytes()
                    } else {
                        length.to_be_bytes()
                    };
                    let at = at & !3;
                    let end = bytes.len().min(at + 4);
                    bytes[at..end].copy_from_slice(&field[..end - at]);
                }
                // A piece a second time, or cut out.
                4 => {
                    let end = bytes.len().min(at + below(600));
                    let piece = bytes[at..end].to_vec();
                    let to = below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => {
                    let end = bytes.len().min(at + below(600));
                    bytes.drain(at..end);
                }
            }
        }
        accepted += u64::from(parse(&bytes).is_some());
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::{INPUTS, mutate};

    /// Checksums made to hold again, so that mutations reach what lies behind them.
    fn with_checksums(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for block in bytes.chunks_exact_mut(512) {
            if block[257..262] == *b"ustar" {
                let mut header = tar::Header::from_byte_slice(block).clone();
                header.set_cksum();
                block.copy_from_slice(header.as_bytes());
            }
        }
        bytes
    }

    fn tars() -> Vec<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["a/1.jpg".into(), "x".repeat(150), "b/2.jpg".into()] {
            let mut header = tar::Header::new_gnu();
            header.set_size(700);
            builder
                .append_data(&mut header, name, [7; 700].as_slice())
                .unwrap();
        }
        builder
            .append_pax_extensions([("path", &b"c/3.jpg"[..]), ("size", b"5")])
            .unwrap();
        let mut header = tar::Header::new_ustar();
        header.set_path("short").unwrap();
        header.set_size(5);
        header.set_cksum();
        builder.append(&header, [1; 5].as_slice()).unwrap();
        vec![builder.into_inner().unwrap()]
    }

    #[test]
    fn a_mutated_tar_is_read_or_refused() {
        assert_eq!(super::tar(&tars()[0]), Some(4));
        let kept = mutate(&tars(), super::tar);
        let reached = mutate(&tars(), |bytes| super::tar(&with_checksums(bytes)));
        assert!(
            0 < kept && kept < reached && reached < INPUTS,
            "{kept}, {reached}"
        );
    }

    #[test]
    fn a_mutated_meta_mat_is_read_or_refused() {
        let packed = include_bytes!("../tests/fixtures/devkit/small.mat").to_vec();
        assert_eq!(super::mat5(&packed), Some(3));
        let kept = mutate(&[packed.clone(), unpacked(&packed)], super::mat5);
        assert!(0 < kept && kept < INPUTS, "{kept}");
    }

    /// The same MAT-file with its elements unpacked: a mutated one gets past zlib's checksum.
    fn unpacked(file: &[u8]) -> Vec<u8> {
        let (mut plain, mut rest) = (file[..128].to_vec(), &file[128..]);
        while let Some((tag, body)) = rest.split_at_checked(8) {
            let size = u32::from_le_bytes(tag[4..].try_into().unwrap()) as usize;
            std::io::Read::read_to_end(
                &mut flate2::read::ZlibDecoder::new(&body[..size]),
                &mut plain,
            )
            .unwrap();
            rest = &body[size..];
        }
        plain
    }

    /// Both checksums made to hold again.
    fn with_crcs(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        if let Some(table) = bytes.get(40..48) {
            let table = u64::from_le_bytes(table.try_into().unwrap()) as usize;
            let crc = bytes.get(table..).map_or(0, crc32fast::hash);
            bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        }
        if bytes.len() >= 64 {
            let crc = crc32fast::hash(&bytes[..60]);
            bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_mutated_shard_is_read_or_refused() {
        let seeds = [
            include_bytes!("../../../fuzz/seeds/shard/raw").to_vec(),
            include_bytes!("../../../fuzz/seeds/shard/jpeg").to_vec(),
        ];
        assert_eq!(super::shard(&seeds[0]), Some(3));
        let kept = mutate(&seeds, super::shard);
        let reached = mutate(&seeds, |bytes| super::shard(&with_crcs(bytes)));
        assert!(kept < reached && reached < INPUTS, "{kept}, {reached}");
    }

    #[test]
    fn a_mutated_idx_file_is_read_or_refused() {
        let mut plain = [0x803_u32, 5, 7, 3].map(u32::to_be_bytes).concat();
        plain.extend((0..5 * 7 * 3).map(|i| i as u8));
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &plain).unwrap();
        let kept = mutate(&[plain, packed.finish().unwrap()], super::idx);
        assert!(0 < kept && kept < INPUTS, "{kept}");
    }

    #[test]
    fn mutated_lists_of_labels_are_read_or_refused() {
        let seeds = [
            &b"490\n361\n171\n"[..],
            b"ImageId,PredictionString\nILSVRC2012_val_00000001,n01440764 1 2 3 4\n",
            b"val_0.JPEG\tn01751748\t0\t32\t44\t62\n",
            b"{\"label\": 3, \"filename\": \"n01440764/n01440764_1.JPEG\"}",
        ];
        let seeds = seeds.map(<[u8]>::to_vec);
        for (seed, items) in seeds.iter().zip([3, 1, 1, 1]) {
            assert_eq!(
                super::lists(seed),
                items,
                "{}",
                String::from_utf8_lossy(seed)
            );
        }
        mutate(&seeds, |bytes| Some(super::lists(bytes)));
    }
}
