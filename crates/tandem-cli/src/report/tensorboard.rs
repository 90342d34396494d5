//! TensorBoard event files.
//!
//! A file is a sequence of records, each framed as TensorFlow's `record_writer.cc` does: length
//! (u64), masked CRC-32C of the length (u32), the bytes, masked CRC-32C of the bytes (u32), all
//! little-endian. The bytes are an `Event` message of `tensorflow/core/util/event.proto`; only the
//! fields written here are declared, with their original numbers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(oneof = "What", tags = "3, 5, 7")]
    what: Option<What>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum What {
    #[prost(string, tag = "3")]
    FileVersion(String),
    #[prost(message, tag = "5")]
    Summary(Summary),
    #[prost(message, tag = "7")]
    SessionLog(SessionLog),
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<SummaryValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(enumeration = "SessionStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum SessionStatus {
    Unspecified = 0,
    Start = 1,
}

/// Appends scalars to one event file of a run.
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: File,
}

impl EventWriter {
    /// A new event file in `run`. `resumed_at` is the last step of the checkpoint a resumed run
    /// starts from: what earlier files say about later steps is then dropped by TensorBoard.
    pub fn create(run: &Path, resumed_at: Option<u64>) -> Result<Self> {
        fs::create_dir_all(run).with_context(|| format!("creating {}", run.display()))?;
        let (path, file) = new_file(run)?;
        let mut writer = Self { path, file };
        writer.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
        if let Some(step) = resumed_at {
            let start = SessionLog {
                status: SessionStatus::Start.into(),
            };
            writer.write(step + 1, What::SessionLog(start))?;
        }
        Ok(writer)
    }

    /// One point on each of the curves named, at `step`.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<()> {
        let value = values
            .iter()
            .map(|&(tag, value)| SummaryValue {
                tag: tag.to_owned(),
                simple_value: value as f32,
            })
            .collect();
        self.write(step, What::Summary(Summary { value }))
    }

    fn write(&mut self, step: u64, what: What) -> Result<()> {
        let event = Event {
            wall_time: since_1970(),
            step: step as i64,
            what: Some(what),
        };
        // One write a record, unbuffered: a run that is killed leaves whole records, and there are
        // few enough of them that the call costs nothing beside a step.
        self.file
            .write_all(&framed(&event.encode_to_vec()))
            .with_context(|| format!("writing {}", self.path.display()))
    }
}

/// TensorBoard reads a run's files in the order of their names, so the time comes first; the number
/// after it separates files begun within the same second.
fn new_file(run: &Path) -> Result<(PathBuf, File)> {
    let seconds = since_1970() as u64;
    let mut number = 0;
    loop {
        let path = run.join(format!("events.out.tfevents.{seconds:010}.tandem.{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => {
                return Err(error).with_context(|| format!("creating {}", path.display()));
            }
        }
    }
}

fn since_1970() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + 16);
    record.extend_from_slice(&length);
    record.extend_from_slice(&masked_crc(&length).to_le_bytes());
    record.extend_from_slice(data);
    record.extend_from_slice(&masked_crc(data).to_le_bytes());
    record
}

/// TensorFlow rotates and shifts the sum, since a CRC over bytes that hold their own CRC is weak.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A decoder that shares nothing with the writer: bitwise CRC, protobuf's wire format by hand.
    mod decoder {
        #[derive(Debug)]
        pub enum Field<'a> {
            Varint(u64),
            Fixed64([u8; 8]),
            Bytes(&'a [u8]),
            Fixed32([u8; 4]),
        }

        pub fn crc32c_bitwise(data: &[u8]) -> u32 {
            let mut crc = !0u32;
            for &byte in data {
                crc ^= u32::from(byte);
                for _ in 0..8 {
                    crc = if crc & 1 == 1 {
                        (crc >> 1) ^ 0x82f6_3b78
                    } else {
                        crc >> 1
                    };
                }
            }
            !crc
        }

        fn check(data: &[u8], stored: &[u8]) {
            let crc = crc32c_bitwise(data);
            let masked = crc.rotate_left(17).wrapping_add(0xa282_ead8);
            assert_eq!(stored, masked.to_le_bytes());
        }

        pub fn records(mut file: &[u8]) -> Vec<&[u8]> {
            let mut records = Vec::new();
            while !file.is_empty() {
                let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
                check(&file[..8], &file[8..12]);
                let data = &file[12..12 + length];
                check(data, &file[12 + length..16 + length]);
                records.push(data);
                file = &file[16 + length..];
            }
            records
        }

        fn varint(bytes: &mut &[u8]) -> u64 {
            let mut value = 0;
            for shift in (0..).step_by(7) {
                let byte = bytes[0];
                *bytes = &bytes[1..];
                value |= u64::from(byte & 0x7f) << shift;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            value
        }

        pub fn fields(mut message: &[u8]) -> Vec<(u64, Field<'_>)> {
            let mut fields = Vec::new();
            while !message.is_empty() {
                let key = varint(&mut message);
                let field = match key & 7 {
                    0 => Field::Varint(varint(&mut message)),
                    1 => {
                        let (head, tail) = message.split_at(8);
                        message = tail;
                        Field::Fixed64(head.try_into().unwrap())
                    }
                    2 => {
                        let length = varint(&mut message) as usize;
                        let (head, tail) = message.split_at(length);
                        message = tail;
                        Field::Bytes(head)
                    }
                    5 => {
                        let (head, tail) = message.split_at(4);
                        message = tail;
                        Field::Fixed32(head.try_into().unwrap())
                    }
                    other => panic!("wire type {other}"),
                };
                fields.push((key >> 3, field));
            }
            fields
        }
    }

    use decoder::{Field, fields, records};

    fn bytes_of(message: &[u8], number: u64) -> Vec<&[u8]> {
        fields(message)
            .into_iter()
            .filter_map(|(n, field)| match field {
                Field::Bytes(bytes) if n == number => Some(bytes),
                _ => None,
            })
            .collect()
    }

    fn varint_of(message: &[u8], number: u64) -> Option<u64> {
        fields(message)
            .into_iter()
            .find_map(|(n, field)| match field {
                Field::Varint(value) if n == number => Some(value),
                _ => None,
            })
    }

    #[test]
    fn the_sum_is_the_published_one() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(decoder::crc32c_bitwise(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn what_was_written_is_read_by_an_independent_decoder() {
        let run = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(run.path(), None).unwrap();
        writer
            .scalars(300, &[("train/loss", 2.5), ("train/learning_rate", 0.01)])
            .unwrap();
        let file = fs::read(&writer.path).unwrap();
        let records = records(&file);
        assert_eq!(records.len(), 2);
        assert_eq!(bytes_of(records[0], 3), [b"brain.Event:2"]);

        let Field::Fixed64(wall_time) = fields(records[1])[0].1 else {
            panic!("no wall time")
        };
        assert!(f64::from_le_bytes(wall_time) > 1.6e9);
        assert_eq!(varint_of(records[1], 2), Some(300));
        let summary = bytes_of(records[1], 5)[0];
        let points: Vec<(&[u8], f32)> = bytes_of(summary, 1)
            .into_iter()
            .map(|value| {
                let number = fields(value)
                    .into_iter()
                    .find_map(|(n, field)| match field {
                        Field::Fixed32(bytes) if n == 2 => Some(f32::from_le_bytes(bytes)),
                        _ => None,
                    });
                (bytes_of(value, 1)[0], number.unwrap())
            })
            .collect();
        assert_eq!(
            points,
            [(&b"train/loss"[..], 2.5), (b"train/learning_rate", 0.01)]
        );
    }

    #[test]
    fn a_resumed_run_starts_a_session_at_the_step_after_its_checkpoint() {
        let run = tempfile::tempdir().unwrap();
        let writer = EventWriter::create(run.path(), Some(500)).unwrap();
        let file = fs::read(&writer.path).unwrap();
        let session = records(&file)[1];
        assert_eq!(varint_of(session, 2), Some(501));
        assert_eq!(varint_of(bytes_of(session, 7)[0], 1), Some(1));
    }

    #[test]
    fn two_files_begun_in_one_second_are_two_files() {
        let run = tempfile::tempdir().unwrap();
        let first = EventWriter::create(run.path(), None).unwrap();
        let second = EventWriter::create(run.path(), Some(1)).unwrap();
        assert_ne!(first.path, second.path);
        assert!(first.path < second.path);
    }

    #[test]
    fn a_run_directory_that_cannot_be_written_is_named() {
        let run = tempfile::tempdir().unwrap();
        let file = run.path().join("a-file");
        fs::write(&file, "").unwrap();
        let error = EventWriter::create(&file.join("run"), None).unwrap_err();
        assert!(format!("{error:#}").contains("a-file"), "{error:#}");
    }
}
