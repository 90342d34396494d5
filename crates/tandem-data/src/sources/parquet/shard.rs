//! One file: its labels, paths and class names, read at once, and where its pictures are.

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::data_type::{ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescriptor;
use serde_json::Value;

use super::column::Column;
use super::footer;
use super::problem::ParquetProblem;
use crate::DataError;
use crate::sources::slice::plain;

/// Names of the column of pictures: a struct of `bytes` and `path`, or the bytes themselves.
const PICTURES: [&str; 7] = ["image", "img", "picture", "jpg", "jpeg", "png", "webp"];
/// Names of the column of labels.
const LABELS: [&str; 6] = ["label", "labels", "fine_label", "class", "target", "cls"];
/// Names of the column of paths, where they are not in the pictures' struct.
const PATHS: [&str; 3] = ["path", "file_name", "filename"];

/// A file, opened.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) path: PathBuf,
    metadata: ParquetMetaData,
    /// Where the columns end.
    end: u64,
    /// The column of pictures.
    pictures: usize,
    /// Of each row, null as none; empty without such a column, or where it holds names.
    pub(super) labels: Vec<Option<i64>>,
    /// Of each row, the name of its class where the column of labels holds names.
    pub(super) named: Vec<Option<Box<str>>>,
    /// Of each row; empty without such a column.
    pub(super) paths: Vec<Option<Box<str>>>,
    /// The names of the classes, in the order of the labels.
    pub(super) names: Option<Vec<String>>,
}

impl Shard {
    /// Opens the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = file(path)?;
        Self::read(path.into(), &mut BufReader::new(file))
    }

    /// Reads everything but the pictures.
    pub(super) fn read(path: PathBuf, file: &mut (impl Read + Seek)) -> Result<Self, DataError> {
        let at = |problem| DataError::Parquet {
            path: path.clone(),
            problem,
        };
        let (metadata, end) = footer::read(file).map_err(at)?;
        let features = features(&metadata);
        let columns = Columns::find(&metadata, &features).map_err(at)?;
        let (mut labels, mut named, mut paths) = (Vec::new(), Vec::new(), Vec::new());
        if let Some(leaf) = columns.labels {
            let schema = metadata.file_metadata().schema_descr();
            if Kind::of(&schema.column(leaf)) == Some(Kind::Text) {
                named = texts(file, end, &metadata, leaf).map_err(at)?;
            } else {
                labels = integers(file, end, &metadata, leaf).map_err(at)?;
            }
        }
        if let Some(leaf) = columns.paths {
            paths = texts(file, end, &metadata, leaf).map_err(at)?;
        }
        let names = columns.names(&features);
        let pictures = columns.pictures;
        Ok(Self {
            path,
            metadata,
            end,
            pictures,
            labels,
            named,
            paths,
            names,
        })
    }

    pub(super) fn rows(&self) -> u64 {
        let rows = self
            .metadata
            .row_groups()
            .iter()
            .map(|group| group.num_rows());
        rows.map(|rows| u64::try_from(rows).unwrap_or(0)).sum()
    }

    /// Finds the pages of the pictures.
    pub(super) fn pictures(&self) -> Result<Column, DataError> {
        self.index(&mut BufReader::new(file(&self.path)?))
    }

    pub(super) fn index(&self, file: &mut (impl Read + Seek)) -> Result<Column, DataError> {
        Column::index(file, self.end, &self.metadata, self.pictures).map_err(|p| self.error(p))
    }

    /// The row group of a row.
    pub(super) fn row_group(&self, row: u64) -> usize {
        let mut last = 0;
        let groups = self.metadata.row_groups().iter();
        groups
            .take_while(|group| {
                last += u64::try_from(group.num_rows()).unwrap_or(0);
                last <= row
            })
            .count()
    }

    /// The names of its columns.
    pub(super) fn columns(&self) -> String {
        names_of(&self.metadata)
    }

    /// That there is no column of labels.
    pub(super) fn no_labels(&self) -> ParquetProblem {
        ParquetProblem::NoColumn {
            what: "labels",
            wanted: "`label`, `labels`, `fine_label`, `class`, `target`, `cls`",
            found: names_of(&self.metadata),
        }
    }

    pub(super) fn error(&self, problem: ParquetProblem) -> DataError {
        DataError::Parquet {
            path: self.path.clone(),
            problem,
        }
    }
}

pub(super) fn file(path: &Path) -> Result<File, DataError> {
    plain(path).map_err(|source| DataError::Read {
        path: path.into(),
        source,
    })
}

/// What a column holds, of what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bytes,
    Text,
    Integers,
}

impl Kind {
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        let null = column.logical_type_ref() == Some(&LogicalType::Unknown);
        match column.physical_type() {
            _ if null || column.max_rep_level() > 0 => None,
            Type::INT32 | Type::INT64 => Some(Self::Integers),
            Type::BYTE_ARRAY if is_text(column) => Some(Self::Text),
            Type::BYTE_ARRAY => Some(Self::Bytes),
            _ => None,
        }
    }
}

fn is_text(column: &ColumnDescriptor) -> bool {
    column.logical_type_ref() == Some(&LogicalType::String)
        || column.converted_type() == ConvertedType::UTF8
}

/// What a column holds, in words.
fn described(column: &ColumnDescriptor) -> String {
    let list = match column.max_rep_level() {
        0 => "",
        _ => "lists of ",
    };
    match column.physical_type() {
        Type::BYTE_ARRAY if is_text(column) => format!("{list}text"),
        Type::BYTE_ARRAY => format!("{list}bytes"),
        other => format!("{list}{other}"),
    }
}

/// Places of the columns among the leaves of the schema.
struct Columns {
    pictures: usize,
    labels: Option<usize>,
    paths: Option<usize>,
    label: Option<String>,
}

impl Columns {
    fn find(metadata: &ParquetMetaData, features: &Value) -> Result<Self, ParquetProblem> {
        let schema = metadata.file_metadata().schema_descr();
        let leaf = |path: &[&str]| {
            let mut leaves = schema.columns().iter();
            leaves.position(|leaf| leaf.path().parts() == path)
        };
        // By name, or else as the `datasets` library has noted.
        let named = |names: &[&'static str], kind: &str| {
            let there = |name: &str| {
                let mut columns = schema.columns().iter().map(|leaf| &leaf.path().parts()[0]);
                columns.find(|column| column.eq_ignore_ascii_case(name))
            };
            let noted = || {
                let mut all = features.as_object()?.iter();
                all.find_map(|(name, feature)| there(name).filter(|_| feature["_type"] == kind))
            };
            names
                .iter()
                .find_map(|name| there(name))
                .or_else(noted)
                .cloned()
        };
        let check = |leaf: usize, kinds: &[Kind], wanted| {
            let column = schema.column(leaf);
            if kinds.iter().any(|kind| Kind::of(&column) == Some(*kind)) {
                return Ok(leaf);
            }
            Err(ParquetProblem::Type {
                column: column.path().string(),
                found: described(&column),
                wanted,
            })
        };

        let image = named(&PICTURES, "Image").ok_or_else(|| ParquetProblem::NoColumn {
            what: "pictures",
            wanted: "`image`, `img`, `picture`, `jpg`, `jpeg`, `png`, `webp`",
            found: names_of(metadata),
        })?;
        let group = schema
            .columns()
            .iter()
            .position(|leaf| leaf.path().parts()[0] == image);
        let pictures = leaf(&[&image, "bytes"])
            .or_else(|| leaf(&[&image]))
            .or(group);
        let pictures = pictures.expect("a column of that name is there");
        check(
            pictures,
            &[Kind::Bytes],
            "encoded pictures (bytes, or a struct of bytes and path)",
        )?;
        let label = named(&LABELS, "ClassLabel");
        let labels = label
            .as_ref()
            .and_then(|label| {
                schema
                    .columns()
                    .iter()
                    .position(|leaf| leaf.path().parts()[0] == *label)
            })
            .map(|leaf| {
                check(
                    leaf,
                    &[Kind::Integers, Kind::Text],
                    "whole numbers or names",
                )
            })
            .transpose()?;
        // A column of nulls only is of no kind, whatever type it is written as.
        let is_text = |leaf: &usize| Kind::of(&schema.column(*leaf)) == Some(Kind::Text);
        let paths = leaf(&[&image, "path"])
            .or_else(|| PATHS.iter().find_map(|name| leaf(&[name])))
            .filter(is_text);
        Ok(Self {
            pictures,
            labels,
            paths,
            label,
        })
    }

    /// The label column's class names.
    fn names(&self, features: &Value) -> Option<Vec<String>> {
        let names = features[self.label.as_ref()?]["names"].as_array()?;
        names
            .iter()
            .map(|name| name.as_str().map(String::from))
            .collect()
    }
}

/// The columns' names, for an error.
fn names_of(metadata: &ParquetMetaData) -> String {
    let fields = metadata.file_metadata().schema().get_fields().iter();
    let names: Vec<&str> = fields.map(|field| field.name()).collect();
    if names.is_empty() {
        "none".into()
    } else {
        names.join(", ")
    }
}

/// What the `datasets` library notes about each column in the key `huggingface`, as JSON.
fn features(metadata: &ParquetMetaData) -> Value {
    let noted = metadata
        .file_metadata()
        .key_value_metadata()
        .into_iter()
        .flatten();
    noted
        .filter(|pair| pair.key == "huggingface")
        .filter_map(|pair| serde_json::from_str::<Value>(pair.value.as_ref()?).ok())
        .map(|mut noted| noted["info"]["features"].take())
        .next()
        .unwrap_or_default()
}

fn integers(
    file: &mut (impl Read + Seek),
    end: u64,
    metadata: &ParquetMetaData,
    leaf: usize,
) -> Result<Vec<Option<i64>>, ParquetProblem> {
    let column = Column::index(file, end, metadata, leaf)?;
    match metadata
        .file_metadata()
        .schema_descr()
        .column(leaf)
        .physical_type()
    {
        Type::INT32 => all::<Int32Type, _>(file, &column, i64::from),
        _ => all::<Int64Type, _>(file, &column, |value| value),
    }
}

fn texts(
    file: &mut (impl Read + Seek),
    end: u64,
    metadata: &ParquetMetaData,
    leaf: usize,
) -> Result<Vec<Option<Box<str>>>, ParquetProblem> {
    let column = Column::index(file, end, metadata, leaf)?;
    all::<ByteArrayType, _>(file, &column, |text| {
        String::from_utf8_lossy(text.data()).into()
    })
}

/// All rows of a column.
fn all<T: DataType, V>(
    file: &mut (impl Read + Seek),
    column: &Column,
    value: impl Fn(T::T) -> V,
) -> Result<Vec<Option<V>>, ParquetProblem> {
    let mut rows = Vec::new();
    for page in 0..column.pages() {
        let (page, _) = column.read::<T>(file, page)?;
        rows.extend(page.into_iter().map(|row| row.map(&value)));
    }
    Ok(rows)
}
