//! A shard written straight through, one picture in memory; `shard.rs` says how its bytes lie.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use libjpeg_turbo_rs::{PixelFormat, Subsampling, compress};

use super::shard::{HEADER, Kind, MAGIC, RECORD, Text, UNLABELLED, VERSION};
use super::{Encoding, SHARD};
use crate::tally::Tally;

/// Writes one shard straight through.
pub(crate) struct Writer {
    out: BufWriter<File>,
    kind: Kind,
    offset: u64,
    records: Vec<u8>,
    tally: Tally,
    text: Text,
}

impl Writer {
    pub(crate) fn new(file: File, kind: Kind) -> io::Result<Self> {
        let mut out = BufWriter::with_capacity(1 << 20, file);
        out.write_all(&[0; HEADER])?;
        Ok(Self {
            out,
            kind,
            offset: HEADER as u64,
            records: Vec::with_capacity(SHARD * RECORD),
            tally: Tally::new(kind.preprocess),
            text: Text::default(),
        })
    }

    /// Adds a picture, (side, side, C).
    pub(crate) fn add(&mut self, pixels: &[u8], label: Option<u32>, key: String) -> io::Result<()> {
        // Counted before encoding: what JPEG loses does not move the mean.
        self.tally.add(pixels);
        let encoded;
        let bytes = match self.kind.encoding {
            Encoding::Raw => pixels,
            Encoding::Jpeg(quality) => {
                let side = self.kind.preprocess.side;
                let format = match self.kind.preprocess.channels {
                    1 => PixelFormat::Grayscale,
                    _ => PixelFormat::Rgb,
                };
                encoded = compress(pixels, side, side, format, quality, Subsampling::S420)
                    .map_err(io::Error::other)?;
                &encoded
            }
        };
        self.out.write_all(bytes)?;
        self.records.extend(self.offset.to_le_bytes());
        for word in [
            bytes.len() as u32,
            label.unwrap_or(UNLABELLED),
            crc32fast::hash(bytes),
            0,
        ] {
            self.records.extend(word.to_le_bytes());
        }
        self.offset += bytes.len() as u64;
        self.text.keys.push(key);
        Ok(())
    }

    /// Notes a picture that does not decode.
    pub(crate) fn leave_out(&mut self, name: String, reason: String) {
        self.text.left_out.push((name, reason));
    }

    /// Writes table and header, and waits until they are on the disk.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let pictures = (self.records.len() / RECORD) as u32;
        let mut sums = Vec::with_capacity(Tally::bytes(self.kind.preprocess));
        self.tally.write(&mut sums);
        self.out.write_all(&sums)?;
        let mut table = self.records;
        serde_json::to_writer(&mut table, &self.text)?;
        self.out.write_all(&table)?;

        let Kind {
            preprocess,
            encoding,
        } = self.kind;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(MAGIC);
        for word in [
            VERSION,
            pictures,
            preprocess.side as u32,
            preprocess.channels as u32,
            match encoding {
                Encoding::Raw => 0,
                Encoding::Jpeg(quality) => quality.into(),
            },
            crc32fast::hash(&table),
        ] {
            header.extend(word.to_le_bytes());
        }
        header.extend([0; 8]);
        header.extend((self.offset + sums.len() as u64).to_le_bytes());
        header.extend(crc32fast::hash(&sums).to_le_bytes());
        header.resize(HEADER - 4, 0);
        header.extend(crc32fast::hash(&header).to_le_bytes());
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&header)?;
        let file = self
            .out
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }
}
