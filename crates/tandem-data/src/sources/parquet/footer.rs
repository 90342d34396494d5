//! A file's first and last bytes: is it parquet, and where is what.

use std::io::{Read, Seek, SeekFrom};
use std::panic::catch_unwind;

use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::page::{Extent, fetch};
use super::problem::ParquetProblem;
use super::thrift::{Broken, Kind, Thrift};

/// Most bytes a footer may have. 1.28 million pictures in row groups of 100 take 10 MB in one file.
const LARGEST: u64 = 64 << 20;

/// Groups in groups that a schema may have; a picture's struct is one.
const DEEPEST: usize = 32;

/// What a plain file starts and ends with.
const MAGIC: &[u8] = b"PAR1";
/// What a file with an encrypted footer starts and ends with.
const ENCRYPTED: &[u8] = b"PARE";

/// Whether a file starts as parquet files do.
pub(super) fn recognises(file: &mut impl Read) -> bool {
    let mut start = [0; 4];
    file.read_exact(&mut start).is_ok() && [MAGIC, ENCRYPTED].contains(&start.as_slice())
}

/// Reads the footer; also gives where it begins, which is where the columns end.
pub(super) fn read(
    file: &mut (impl Read + Seek),
) -> Result<(ParquetMetaData, u64), ParquetProblem> {
    let length = file.seek(SeekFrom::End(0)).unwrap_or(0);
    let bytes = |file: &mut _, at, length| {
        fetch(file, Extent { at, length })
            .map_err(|reason| ParquetProblem::Footer { offset: at, reason })
    };
    let start = bytes(file, 0, length.min(4))?;
    if start == ENCRYPTED {
        return Err(ParquetProblem::Encrypted);
    }
    if start != MAGIC {
        let found = start.escape_ascii().to_string();
        return Err(ParquetProblem::Start { found });
    }
    if length < 12 {
        return Err(ParquetProblem::NoFooter { length });
    }
    let end = bytes(file, length - 8, 8)?;
    let Some((claimed, MAGIC)) = end.split_first_chunk() else {
        return Err(ParquetProblem::NoFooter { length });
    };
    let claimed = u64::from(u32::from_le_bytes(*claimed));
    let limit = LARGEST.min(length - 12);
    if claimed > limit {
        return Err(ParquetProblem::FooterLength { claimed, limit });
    }
    let offset = length - 8 - claimed;
    let footer = bytes(file, offset, claimed)?;
    let damaged = |reason| ParquetProblem::Footer { offset, reason };
    if is_encrypted(&footer).map_err(|_| damaged("its schema cannot be".into()))? {
        return Err(ParquetProblem::Encrypted);
    }
    // The crate panics where a damaged footer has groups without a repetition.
    match catch_unwind(|| ParquetMetaDataReader::decode_metadata(&footer)) {
        Ok(Ok(metadata)) => Ok((metadata, offset)),
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its schema cannot be".into())),
    }
}

/// Whether a file with a plain footer has encrypted columns. Also refuses what the crate would end the
/// process over: a schema of groups without end, or with more members than there are.
fn is_encrypted(footer: &[u8]) -> Result<bool, Broken> {
    let mut encrypted = false;
    Thrift::new(footer).structure(|thrift, id, kind| match (id, kind) {
        (2, Kind::LIST) => check_schema(thrift),
        (8, _) => {
            encrypted = true;
            thrift.skip(kind)
        }
        _ => thrift.skip(kind),
    })?;
    Ok(encrypted)
}

/// A schema is a list, each group before its members.
fn check_schema(thrift: &mut Thrift) -> Result<(), Broken> {
    let (count, kind) = thrift.list()?;
    if kind != Kind::STRUCT {
        return Err(Broken::Wrong);
    }
    // Members still to come of each group that is open.
    let mut open: Vec<u64> = Vec::new();
    for left in (0..count).rev() {
        let mut members = 0;
        thrift.structure(|thrift, id, kind| {
            if (id, kind) == (5, Kind::I32) {
                members = u64::try_from(thrift.int()?).map_err(|_| Broken::Wrong)?;
                Ok(())
            } else {
                thrift.skip(kind)
            }
        })?;
        if let Some(last) = open.last_mut() {
            *last -= 1;
        }
        open.push(members);
        while open.last() == Some(&0) {
            open.pop();
        }
        if open.len() > DEEPEST
            || open
                .iter()
                .try_fold(0_u64, |sum, members| sum.checked_add(*members))
                .is_none_or(|sum| sum > left)
        {
            return Err(Broken::Wrong);
        }
    }
    Ok(())
}
