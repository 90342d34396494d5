//! A report as one self-contained HTML page and a Markdown twin, from one model and the same to the
//! byte whenever it is made.
//!
//! The page asks for nothing from a network and runs no script; its charts are SVG drawn here. The
//! twin has the same words and tables, and its charts and pictures as files beside it.

mod model;

use std::collections::BTreeMap;

pub use model::{
    Axis, Bars, Block, Chart, Column, Effect, Estimate, ForestRow, Judgement, Page, Picture, Plot,
    Published, Scale, Section, Series, Table, Unit, Verdict,
};

/// What to write: path below the report's folder, with `/`, and content. `index.html` is the page,
/// `README.md` its twin.
pub type Files = BTreeMap<String, Vec<u8>>;

/// A model of which no page can be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    #[error(
        "the section \"{title}\" has the id `{id}`, and must have one of small letters, digits and hyphens: it becomes a link and a file's name"
    )]
    Id { id: String, title: String },
    #[error(
        "the sections \"{first}\" and \"{second}\" both have the id `{id}`; links tell them apart by it"
    )]
    DuplicateId {
        id: String,
        first: String,
        second: String,
    },
    #[error(
        "the section `{section}`: row {row} of the table \"{caption}\" has {cells} cells for {columns} columns"
    )]
    Cells {
        section: String,
        caption: String,
        row: usize,
        cells: usize,
        columns: usize,
    },
    #[error(
        "the section `{section}`: the bars \"{name}\" of the chart \"{caption}\" are {values} for {categories} categories"
    )]
    Bars {
        section: String,
        caption: String,
        name: String,
        values: usize,
        categories: usize,
    },
}
