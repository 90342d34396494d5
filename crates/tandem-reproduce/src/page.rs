//! A report as one self-contained HTML page and a Markdown twin, from one model and the same to the
//! byte whenever it is made.
//!
//! The page asks for nothing from a network and runs no script; its charts are SVG drawn here. The
//! twin has the same words and tables, and its charts and pictures as files beside it.

mod chart;
mod html;
mod markdown;
mod model;
mod summary;
pub mod words;

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

/// The anchor of the summary; no section can have it.
const SUMMARY: &str = "summary";

/// The page, its twin, and the twin's charts and pictures.
///
/// # Errors
///
/// Where two sections have one id, an id is no anchor, or a table or chart has a row that does not
/// fit it.
pub fn render(page: &Page) -> Result<Files, PageError> {
    check(page)?;
    let mut files = Files::new();
    files.insert("index.html".to_owned(), html::render(page).into_bytes());
    files.insert("README.md".to_owned(), markdown::render(page).into_bytes());
    if let Some(forest) = summary::forest(page) {
        let svg = chart::standalone(&forest);
        files.insert("charts/summary.svg".to_owned(), svg.into_bytes());
    }
    for (name, block) in page.sections.iter().flat_map(blocks) {
        match block {
            Block::Chart(chart) => {
                let svg = chart::standalone(chart);
                files.insert(format!("charts/{name}.svg"), svg.into_bytes());
            }
            Block::Picture(picture) => {
                files.insert(format!("pictures/{name}.png"), picture.png.clone());
            }
            Block::Text(_) | Block::Table(_) | Block::Details { .. } => {}
        }
    }
    Ok(files)
}

/// The blocks of a section, with a name for each that nothing else on the page has.
fn blocks(section: &Section) -> impl Iterator<Item = (String, &Block)> {
    let blocks = section.blocks.iter().enumerate();
    // An id has no underscore, so it cannot be another's name.
    blocks.map(|(index, block)| (format!("{}_{}", section.id, index + 1), block))
}

fn check(page: &Page) -> Result<(), PageError> {
    let mut taken = BTreeMap::from([(SUMMARY, "Summary")]);
    for section in &page.sections {
        let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if section.id.is_empty() || !section.id.bytes().all(letter) {
            return Err(PageError::Id {
                id: section.id.clone(),
                title: section.title.clone(),
            });
        }
        if let Some(first) = taken.insert(&section.id, &section.title) {
            return Err(PageError::DuplicateId {
                id: section.id.clone(),
                first: first.to_owned(),
                second: section.title.clone(),
            });
        }
        for block in &section.blocks {
            check_block(section, block)?;
        }
    }
    Ok(())
}

fn check_block(section: &Section, block: &Block) -> Result<(), PageError> {
    let section = || section.id.clone();
    match block {
        Block::Table(table) => {
            let columns = table.columns.len();
            let misfit = table.rows.iter().position(|row| row.len() != columns);
            misfit.map_or(Ok(()), |row| {
                Err(PageError::Cells {
                    section: section(),
                    caption: table.caption.clone(),
                    row: row + 1,
                    cells: table.rows[row].len(),
                    columns,
                })
            })
        }
        Block::Chart(Chart {
            caption,
            plot: Plot::Bars {
                categories, series, ..
            },
        }) => {
            let misfit = series
                .iter()
                .find(|bars| bars.values.len() != categories.len());
            misfit.map_or(Ok(()), |bars| {
                Err(PageError::Bars {
                    section: section(),
                    caption: caption.clone(),
                    name: bars.name.clone(),
                    values: bars.values.len(),
                    categories: categories.len(),
                })
            })
        }
        _ => Ok(()),
    }
}
