//! One column of a file: where its pages are, and what is in one.

use std::collections::VecDeque;
use std::io::{Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::basic::Compression;
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result as Decoded};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::schema::types::ColumnDescPtr;

use super::page::{Extent, Header, Holds, fetch, is_read};
use super::problem::ParquetProblem;

const FETCH: &str = "fetch the file again";

/// The values of a page, a row each; null is none.
pub(super) type Rows<T> = Vec<Option<<T as DataType>::T>>;

/// The pages of a column, in the order of rows. Only their headers have been read.
#[derive(Debug)]
pub(super) struct Column {
    name: String,
    kind: ColumnDescPtr,
    /// Of each row group, how its pages are packed, and its dictionary.
    groups: Vec<(Compression, Option<Extent>)>,
    pages: Vec<DataPage>,
    rows: u64,
}

/// A data page.
#[derive(Debug, Clone, Copy)]
struct DataPage {
    first_row: u64,
    row_group: u32,
    /// Header and page.
    extent: Extent,
}

impl Column {
    /// Finds the pages of column `leaf` of a file of `length` bytes.
    pub(super) fn index(
        file: &mut (impl Read + Seek),
        length: u64,
        metadata: &ParquetMetaData,
        leaf: usize,
    ) -> Result<Self, ParquetProblem> {
        let kind = metadata.file_metadata().schema_descr().column(leaf);
        let mut column = Self {
            name: kind.path().string(),
            kind,
            groups: Vec::new(),
            pages: Vec::new(),
            rows: 0,
        };
        for group in metadata.row_groups() {
            // Of damaged footers; a picture takes more than a byte, so this bounds the memory for rows.
            let rows = u64::try_from(group.num_rows()).unwrap_or(u64::MAX);
            let chunk = group
                .columns()
                .get(leaf)
                .filter(|_| rows <= length - column.rows.min(length));
            let Some(chunk) = chunk else {
                let reason = format!("the footer counts {rows} rows in a file of {length} bytes");
                return Err(column.damaged(column.groups.len(), length, reason));
            };
            column.index_group(file, length, chunk, rows)?;
        }
        column.pages.shrink_to_fit();
        Ok(column)
    }

    fn index_group(
        &mut self,
        file: &mut (impl Read + Seek),
        length: u64,
        chunk: &ColumnChunkMetaData,
        rows: u64,
    ) -> Result<(), ParquetProblem> {
        let (row_group, codec) = (self.groups.len(), chunk.compression());
        if rows == 0 {
            // A writer that had nothing to write may have put no pages either.
            self.groups.push((codec, None));
            return Ok(());
        }
        let first = chunk.data_page_offset();
        let dictionary = chunk
            .dictionary_page_offset()
            .filter(|&at| at > 0 && at < first);
        let start = u64::try_from(dictionary.unwrap_or(first)).unwrap_or(0);
        let packed = u64::try_from(chunk.compressed_size()).unwrap_or(u64::MAX);
        let end = start.saturating_add(packed);
        if start < 4 || end > length {
            let reason =
                format!("the footer puts the column at bytes {start} to {end} of {length}");
            return Err(self.damaged(row_group, start, reason));
        }
        if !is_read(codec) {
            return Err(self.unread(row_group, start, format!("it is packed with {codec}")));
        }

        let (mut at, last_row) = (start, self.rows + rows);
        let mut dictionary = None;
        while self.rows < last_row {
            if at == end {
                let reason = format!("the pages end {} rows early", last_row - self.rows);
                return Err(self.damaged(row_group, at, reason));
            }
            let header = Header::at(
                file,
                Extent {
                    at,
                    length: end - at,
                },
                codec,
            )
            .map_err(|reason| self.damaged(row_group, at, reason))?;
            let extent = Extent {
                at,
                length: header.length + header.packed,
            };
            match header.holds {
                Holds::Index => {}
                Holds::Dictionary if dictionary.is_none() => dictionary = Some(extent),
                Holds::Dictionary => {
                    return Err(self.damaged(row_group, at, "it is a second dictionary".into()));
                }
                Holds::Data | Holds::Data2 { .. } => {
                    let rows = u64::from(header.values);
                    if rows > last_row - self.rows {
                        let reason = format!(
                            "it holds {rows} rows where {} are left",
                            last_row - self.rows
                        );
                        return Err(self.damaged(row_group, at, reason));
                    }
                    if rows > 0 {
                        let (first_row, row_group) = (self.rows, row_group as u32);
                        self.pages.push(DataPage {
                            first_row,
                            row_group,
                            extent,
                        });
                        self.rows += rows;
                    }
                }
            }
            at += extent.length;
        }
        self.groups.push((codec, dictionary));
        Ok(())
    }

    /// How many pages there are.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// The page that holds a row, and the row's place in it.
    pub(super) fn page_of(&self, row: u64) -> (usize, usize) {
        let page = self.pages.partition_point(|page| page.first_row <= row) - 1;
        (page, (row - self.pages[page].first_row) as usize)
    }

    /// The row group of a row.
    pub(super) fn row_group(&self, row: u64) -> usize {
        self.pages[self.page_of(row).0].row_group as usize
    }

    /// Bytes of a page in the file.
    pub(super) fn packed(&self, page: usize) -> u64 {
        self.pages[page].extent.length
    }

    /// Bytes of all pages in the file.
    pub(super) fn all_packed(&self) -> u64 {
        self.pages.iter().map(|page| page.extent.length).sum()
    }

    /// The rows of a page, and the bytes they take.
    pub(super) fn read<T: DataType>(
        &self,
        file: &mut (impl Read + Seek),
        page: usize,
    ) -> Result<(Rows<T>, usize), ParquetProblem> {
        let DataPage {
            row_group, extent, ..
        } = self.pages[page];
        let (codec, dictionary) = self.groups[row_group as usize];
        let mut pages = VecDeque::new();
        for extent in dictionary.into_iter().chain([extent]) {
            let page = self
                .unpacked(file, extent, codec)
                .map_err(|reason| self.damaged(row_group as usize, extent.at, reason))?;
            pages.push_back(page);
        }
        let bytes: usize = pages.iter().map(|page| page.buffer().len()).sum();
        let rows = self
            .decode::<T>(pages)
            .map_err(|reason| self.damaged(row_group as usize, extent.at, reason))?;
        let bytes = bytes + size_of_val(rows.as_slice());
        Ok((rows, bytes))
    }

    fn unpacked(
        &self,
        file: &mut (impl Read + Seek),
        extent: Extent,
        codec: Compression,
    ) -> Result<Page, String> {
        let header = Header::at(file, extent, codec)?;
        let body = Extent {
            at: extent.at + header.length,
            length: header.packed,
        };
        header.page(fetch(file, body)?, codec, self.kind.physical_type())
    }

    fn decode<T: DataType>(&self, pages: VecDeque<Page>) -> Result<Rows<T>, String> {
        let rows = pages.back().map_or(0, |page| page.num_values() as usize);
        let has_dictionary = pages.len() > 1;
        if let Some(page) = pages.back()
            && page.encoding() == parquet::basic::Encoding::RLE_DICTIONARY
            && !has_dictionary
        {
            return Err("it has entries of a dictionary that is not there".into());
        }
        let kind = self.kind.clone();
        // The crate panics on some damaged pages, of which it asks more than they hold.
        let decoded = catch_unwind(AssertUnwindSafe(move || {
            let mut reader = ColumnReaderImpl::<T>::new(kind, Box::new(Ready(pages)));
            let (mut levels, mut values) = (Vec::new(), Vec::new());
            let read = reader.read_records(rows, Some(&mut levels), None, &mut values)?;
            Ok::<_, ParquetError>((read, levels, values))
        }));
        let ((read, ..), levels, values) = match decoded {
            Ok(Ok(decoded)) => decoded,
            Ok(Err(error)) => return Err(format!("it does not decode ({error})")),
            Err(_) => return Err("it does not decode".into()),
        };
        if read != rows {
            return Err(format!("it holds {read} of its {rows} rows"));
        }
        let defined = self.kind.max_def_level();
        if defined == 0 {
            return Ok(values.into_iter().map(Some).collect());
        }
        let mut values = values.into_iter();
        let row = |&level: &i16| {
            if level == defined {
                values.next()
            } else {
                None
            }
        };
        Ok(levels.iter().map(row).collect())
    }

    fn damaged(&self, row_group: usize, offset: u64, reason: String) -> ParquetProblem {
        self.problem(row_group, offset, reason, FETCH)
    }

    fn unread(&self, row_group: usize, offset: u64, reason: String) -> ParquetProblem {
        let fix = "write the file again with snappy, zstd, gzip, LZ4_RAW or no compression";
        self.problem(row_group, offset, reason, fix)
    }

    fn problem(
        &self,
        row_group: usize,
        offset: u64,
        reason: String,
        fix: &'static str,
    ) -> ParquetProblem {
        ParquetProblem::Page {
            column: self.name.clone(),
            row_group,
            offset,
            reason,
            fix,
        }
    }
}

/// Pages at hand, as the crate asks for them.
struct Ready(VecDeque<Page>);

impl Iterator for Ready {
    type Item = Decoded<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.pop_front().map(Ok)
    }
}

impl PageReader for Ready {
    fn get_next_page(&mut self) -> Decoded<Option<Page>> {
        Ok(self.0.pop_front())
    }

    fn peek_next_page(&mut self) -> Decoded<Option<PageMetadata>> {
        Ok(self.0.front().map(|page| PageMetadata {
            num_rows: None,
            num_levels: Some(page.num_values() as usize),
            is_dict: page.is_dictionary_page(),
        }))
    }

    fn skip_next_page(&mut self) -> Decoded<()> {
        self.0.pop_front();
        Ok(())
    }
}
