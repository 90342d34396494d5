//! One page: its header, its bytes, and those unpacked.
//!
//! The `parquet` crate could fetch pages too, but gives as much memory as a header asks for (up to
//! 2 GiB), and lets gzip unpack without end. So pages are fetched, checked and unpacked here, and the
//! crate decodes what is in them.

use std::io::{Read, Seek, SeekFrom};

use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::Page;

use super::thrift::{Broken, Kind, Thrift};

/// Most bytes a page may have, packed or not. Writers aim at 1 MiB, but count by a thousand rows.
const LARGEST: u64 = 1 << 30;

/// Most bytes that a byte of a packed page may stand for: what gzip can do at best. Snappy reaches 22,
/// LZ4 255; zstd could do more, of pictures that are all alike.
const DENSEST: u64 = 1032;

/// First bytes fetched to find a page's header, and most: a header may carry statistics.
const HEADER: (u64, u64) = (256, 1 << 20);

/// Bytes of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// Reads bytes of a file. The memory grows with what is there.
pub(super) fn fetch(file: &mut (impl Read + Seek), extent: Extent) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(extent.at))
        .and_then(|_| file.by_ref().take(extent.length).read_to_end(&mut bytes))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if (bytes.len() as u64) < extent.length {
        return Err(format!(
            "the file ends after {} of its {} bytes",
            bytes.len(),
            extent.length
        ));
    }
    Ok(bytes)
}

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Dictionary,
    /// Version 1: levels and values packed together.
    Data,
    /// Version 2: bytes of levels, which are not packed, and whether the values are.
    Data2 {
        levels: u32,
        packed: bool,
    },
    /// An index of pages, which nobody wrote.
    Index,
}

/// A page's header, checked against what can be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Its own length, bytes.
    pub(super) length: u64,
    /// Bytes of the page that follow it, and those unpacked.
    pub(super) packed: u64,
    unpacked: u64,
    pub(super) holds: Holds,
    /// Rows, with those that are null; of a dictionary its entries.
    pub(super) values: u32,
    nulls: u32,
    encoding: Encoding,
}

/// The numbers of a header's two levels of fields, as they stand in the file.
#[derive(Debug, Default)]
struct Raw {
    kind: Option<i64>,
    unpacked: Option<i64>,
    packed: Option<i64>,
    /// Which of data page (5), dictionary page (7) and data page of version 2 (8) is described, and its
    /// fields: as many as are looked at, by number.
    described: i64,
    fields: [Option<i64>; 8],
}

impl Raw {
    fn read(thrift: &mut Thrift) -> Result<Self, Broken> {
        let mut raw = Self::default();
        thrift.structure(|thrift, id, kind| {
            match (id, kind) {
                (1, Kind::I32) => raw.kind = Some(thrift.int()?),
                (2, Kind::I32) => raw.unpacked = Some(thrift.int()?),
                (3, Kind::I32) => raw.packed = Some(thrift.int()?),
                (5 | 7 | 8, Kind::STRUCT) => {
                    raw.described = id;
                    raw.fields = [None; 8];
                    thrift.structure(|thrift, id, kind| {
                        let field = usize::try_from(id)
                            .ok()
                            .and_then(|id| raw.fields.get_mut(id));
                        match (field, kind) {
                            (Some(field), Kind::I32) => *field = Some(thrift.int()?),
                            (Some(field), Kind::FALSE) => *field = Some(0),
                            _ => thrift.skip(kind)?,
                        }
                        Ok(())
                    })?;
                }
                _ => thrift.skip(kind)?,
            }
            Ok(())
        })?;
        Ok(raw)
    }
}

impl Header {
    /// Reads the header that starts at `extent`, of a page that ends inside it.
    pub(super) fn at(
        file: &mut (impl Read + Seek),
        extent: Extent,
        codec: Compression,
    ) -> Result<Self, String> {
        let mut length = HEADER.0.min(extent.length);
        loop {
            let bytes = fetch(file, Extent { length, ..extent })?;
            match Self::parse(&bytes, extent.length, codec)? {
                Some(header) => return Ok(header),
                None if length == extent.length || length >= HEADER.1 => {
                    return Err(format!("its header does not end within {length} bytes"));
                }
                None => length = (length * 16).min(extent.length),
            }
        }
    }

    /// Reads a header off the front of `bytes`, of a page of at most `room` bytes. None: the header is
    /// longer.
    fn parse(bytes: &[u8], room: u64, codec: Compression) -> Result<Option<Self>, String> {
        let mut thrift = Thrift::new(bytes);
        let raw = match Raw::read(&mut thrift) {
            Ok(raw) => raw,
            Err(Broken::Short) => return Ok(None),
            Err(Broken::Wrong) => return Err("its header is damaged".into()),
        };
        let length = (bytes.len() - thrift.left()) as u64;
        let count = |value: Option<i64>, what: &str| match value.map(u32::try_from) {
            Some(Ok(value)) => Ok(value),
            _ => Err(format!("its header does not say {what}")),
        };
        let packed = u64::from(count(raw.packed, "how many bytes follow")?);
        let unpacked = u64::from(count(raw.unpacked, "how many bytes it unpacks to")?);
        if packed > room - length {
            return Err(format!(
                "it claims {packed} bytes where {} are left",
                room - length
            ));
        }
        let most = match codec {
            Compression::UNCOMPRESSED => packed,
            _ => LARGEST.min(packed * DENSEST),
        };
        if unpacked > most || packed > LARGEST {
            return Err(format!(
                "it claims that {packed} bytes unpack to {unpacked}"
            ));
        }

        let holds = match (raw.kind, raw.described) {
            (Some(0), 5) => Holds::Data,
            (Some(1), _) => Holds::Index,
            (Some(2), 7) => Holds::Dictionary,
            (Some(3), 8) => {
                let [definition, repetition] = [raw.fields[5], raw.fields[6]]
                    .map(|field| count(field, "how long its levels are"));
                let levels = definition?.saturating_add(repetition?);
                if u64::from(levels) > packed.min(unpacked) {
                    return Err(format!("it claims {levels} bytes of levels in {packed}"));
                }
                Holds::Data2 {
                    levels,
                    packed: raw.fields[7] != Some(0),
                }
            }
            _ => return Err("its header is damaged".into()),
        };
        if holds == Holds::Index {
            let (values, nulls, encoding) = (0, 0, Encoding::PLAIN);
            return Ok(Some(Self {
                length,
                packed,
                unpacked,
                holds,
                values,
                nulls,
                encoding,
            }));
        }
        let (nulls, encoding) = match holds {
            Holds::Data2 { .. } => (count(raw.fields[2], "how many are null")?, raw.fields[4]),
            _ => (0, raw.fields[2]),
        };
        let values = count(raw.fields[1], "how many values it holds")?;
        if nulls > values {
            return Err(format!("it claims {nulls} nulls among {values} rows"));
        }
        // Levels bit-packed (4) are of 2013 and before.
        if holds == Holds::Data && raw.fields[3] != Some(3) {
            return Err("its levels are not run-length encoded".into());
        }
        let encoding = match encoding {
            Some(0) => Encoding::PLAIN,
            Some(2 | 8) => Encoding::RLE_DICTIONARY,
            Some(5) => Encoding::DELTA_BINARY_PACKED,
            _ => {
                return Err(format!(
                    "it is encoded in a way that is not read ({encoding:?})"
                ));
            }
        };
        Ok(Some(Self {
            length,
            packed,
            unpacked,
            holds,
            values,
            nulls,
            encoding,
        }))
    }

    /// Unpacks the page of this header from the bytes after it.
    pub(super) fn page(self, bytes: Vec<u8>, codec: Compression, of: Type) -> Result<Page, String> {
        let unpacked = self.unpacked as usize;
        let buf = match self.holds {
            Holds::Data2 { packed: false, .. } => bytes,
            Holds::Data2 {
                levels,
                packed: true,
            } => {
                let (levels, values) = bytes.split_at(levels as usize);
                let values = unpack(codec, values, unpacked - levels.len())?;
                [levels, &values].concat()
            }
            _ => unpack(codec, &bytes, unpacked)?,
        };
        if buf.len() != unpacked {
            return Err(format!("it has {} bytes and claims {unpacked}", buf.len()));
        }
        Ok(match self.holds {
            Holds::Dictionary => {
                let width = if of == Type::INT64 { 8 } else { 4 };
                if self.values as usize > buf.len() / width
                    || self.encoding == Encoding::DELTA_BINARY_PACKED
                {
                    return Err(format!(
                        "it claims {} entries in {} bytes",
                        self.values,
                        buf.len()
                    ));
                }
                Page::DictionaryPage {
                    buf: buf.into(),
                    num_values: self.values,
                    encoding: Encoding::PLAIN,
                    is_sorted: false,
                }
            }
            Holds::Data2 { levels, .. } => Page::DataPageV2 {
                buf: buf.into(),
                num_values: self.values,
                encoding: self.encoding,
                num_nulls: self.nulls,
                num_rows: self.values,
                def_levels_byte_len: levels,
                rep_levels_byte_len: 0,
                is_compressed: false,
                statistics: None,
            },
            Holds::Data | Holds::Index => Page::DataPage {
                buf: buf.into(),
                num_values: self.values,
                encoding: self.encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            },
        })
    }
}

/// Whether pages packed so are read.
pub(super) fn is_read(codec: Compression) -> bool {
    use Compression as C;
    matches!(
        codec,
        C::UNCOMPRESSED | C::SNAPPY | C::GZIP(_) | C::ZSTD(_) | C::LZ4_RAW
    )
}

/// Unpacks `bytes`, which must give exactly `size`.
fn unpack(codec: Compression, bytes: &[u8], size: usize) -> Result<Vec<u8>, String> {
    if size == 0 || codec == Compression::UNCOMPRESSED {
        return Ok(bytes[..size.min(bytes.len())].into());
    }
    let mut buf = vec![0; size];
    let found = match codec {
        Compression::SNAPPY => snap::raw::Decoder::new()
            .decompress(bytes, &mut buf)
            .map_err(|e| e.to_string()),
        Compression::LZ4_RAW => {
            lz4_flex::block::decompress_into(bytes, &mut buf).map_err(|e| e.to_string())
        }
        Compression::ZSTD(_) => {
            zstd::bulk::decompress_to_buffer(bytes, &mut buf).map_err(|e| e.to_string())
        }
        Compression::GZIP(_) => {
            let mut gzip = flate2::read::MultiGzDecoder::new(bytes);
            gzip.read_exact(&mut buf)
                .map(|()| size)
                .map_err(|e| e.to_string())
        }
        other => Err(format!("{other} is not read")),
    };
    match found {
        Ok(found) if found == size => Ok(buf),
        Ok(found) => Err(format!(
            "it unpacks to {found} bytes where it claims {size}"
        )),
        Err(reason) => Err(format!("it does not unpack ({reason})")),
    }
}
