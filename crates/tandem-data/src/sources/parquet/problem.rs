//! What can be wrong with a parquet file: each says where, and the fix.

/// What is wrong with a parquet file that [`crate::DataError::Parquet`] names.
///
/// Row groups, rows and classes are counted from 0; rows through the whole file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetProblem {
    /// It does not start as a parquet file does.
    #[error("it starts with {found:?}, not with PAR1: it is no parquet file; fetch it again")]
    Start {
        /// Its first bytes, up to four.
        found: String,
    },
    /// It does not end as a parquet file does.
    #[error("it ends after {length} bytes without a footer: it is cut short; fetch it again")]
    NoFooter {
        /// Its length, bytes.
        length: u64,
    },
    /// Its footer, or some of its columns, are encrypted.
    #[error("it is encrypted; write it again without encryption, with the key, and give that file")]
    Encrypted,
    /// The footer would begin before the file does, or is larger than any.
    #[error(
        "its last 8 bytes announce a footer of {claimed} bytes where at most {limit} fit; \
         it is damaged: fetch it again"
    )]
    FooterLength {
        /// Announced length, bytes.
        claimed: u64,
        /// The most it can be, bytes.
        limit: u64,
    },
    /// The footer does not parse.
    #[error("its footer, at byte {offset}, is damaged ({reason}); fetch it again")]
    Footer {
        /// Where the footer begins.
        offset: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A column is not there.
    #[error(
        "it has no column of {what}: looked for {wanted}, and it holds {found}; \
         rename the column or write the file again with one"
    )]
    NoColumn {
        /// "pictures" or "labels".
        what: &'static str,
        /// The names that would do.
        wanted: &'static str,
        /// The columns that are there.
        found: String,
    },
    /// A column holds something else than it should.
    #[error("its column {column} holds {found} where {wanted} belong; write the file again so")]
    Type {
        /// The column.
        column: String,
        /// What it holds.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// A page, or a column's account of its pages, is damaged or of a kind that is not read.
    #[error("column {column}, row group {row_group}, page at byte {offset}: {reason}; {fix}")]
    Page {
        /// The column.
        column: String,
        /// The row group.
        row_group: usize,
        /// Where the page's header is, or should be.
        offset: u64,
        /// What is wrong.
        reason: String,
        /// What to do about it.
        fix: &'static str,
    },
    /// A row without a picture.
    #[error(
        "row {row} (row group {row_group}) has no picture (null); remove the row or fill it in"
    )]
    NoPicture {
        /// The row group.
        row_group: usize,
        /// The row.
        row: u64,
    },
    /// A row without a label among pictures that need one.
    #[error(
        "row {row} (row group {row_group}) has no label (null or -1), which only pictures of the \
         test part may lack, and then all of them; name the file `test-….parquet` or add labels"
    )]
    NoLabel {
        /// The row group.
        row_group: usize,
        /// The row.
        row: u64,
    },
    /// A label beyond the classes.
    #[error(
        "row {row} (row group {row_group}) has the label {label}, beyond the {classes} classes; \
         correct the label or the class names in the file's metadata"
    )]
    Label {
        /// The row group.
        row_group: usize,
        /// The row.
        row: u64,
        /// Its label.
        label: i64,
        /// How many classes there are.
        classes: usize,
    },
    /// Labels that are names, all different or nearly.
    #[error(
        "its labels are of {found} different names, and at most {limit} are read: they are most likely \
         captions, and no classes"
    )]
    TooManyNames {
        /// How many there are.
        found: usize,
        /// Most that are read.
        limit: usize,
    },
    /// A picture's path says another class than its label.
    #[error(
        "row {row} (row group {row_group}) has the label {label}, which is {expected}, but its path \
         says {found}; labels and paths are not of one set: fetch the file again"
    )]
    Wnid {
        /// The row group.
        row_group: usize,
        /// The row.
        row: u64,
        /// Its label.
        label: i64,
        /// The WNID of that label.
        expected: String,
        /// The WNID in its path.
        found: String,
    },
    /// Two files of a set have different class names.
    #[error("its class names are not those of {other}; give the folder of one set")]
    Names {
        /// The file it was compared with.
        other: String,
    },
}
