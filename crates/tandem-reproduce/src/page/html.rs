//! The page as one HTML file. Every text goes through maud, which escapes it; only the style sheets,
//! which are ours, do not.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Block, Chart, Judgement, Page, Picture, Section, Table};
use super::{SUMMARY, blocks, chart, summary};

const STYLE: &str = include_str!("style.css");

/// Holds a browser to what the page promises: nothing is loaded, nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

pub(super) fn render(page: &Page) -> String {
    let styles = [chart::PALETTE, STYLE, chart::STYLE];
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (page.title) }
                style { @for style in styles { (PreEscaped(style)) } }
            }
            body {
                a .skip href={ "#" (SUMMARY) } { "Skip to the summary" }
                header {
                    h1 { (page.title) }
                    @for paragraph in &page.lead { p { (paragraph) } }
                    @if !page.facts.is_empty() {
                        dl .facts {
                            @for (name, value) in &page.facts {
                                div { dt { (name) } dd { (value) } }
                            }
                        }
                    }
                }
                main {
                    (summary(page))
                    @for section in &page.sections { (self::section(section)) }
                }
            }
        }
    };
    document.into_string() + "\n"
}

fn summary(page: &Page) -> Markup {
    html! {
        section id=(SUMMARY) tabindex="-1" {
            h2 { "Summary" }
            p { (summary::tally(page)) }
            (scrolling("summary_table", html! {
                table .summary {
                    caption id="summary_table" { span { (summary::CAPTION) } }
                    thead {
                        tr {
                            th scope="col" { "Experiment" }
                            @for (index, column) in summary::columns(page).iter().enumerate() {
                                th class=[number(index > 0)] scope="col" { (column) }
                            }
                            th scope="col" { "Judgement" }
                        }
                    }
                    @for section in &page.sections { (summary_rows(section)) }
                }
            }))
            @if let Some(forest) = summary::forest(page) { (figure(&forest, "summary_chart")) }
        }
    }
}

/// The rows of one section. They are a group of their own, which its name heads.
fn summary_rows(section: &Section) -> Markup {
    let rows = summary::rows(section);
    let span = (rows.len() > 1).then_some(rows.len());
    html! {
        tbody {
            @for (row, cells) in rows.iter().enumerate() {
                tr {
                    @if row == 0 {
                        th scope="rowgroup" rowspan=[span] {
                            a href={ "#" (section.id) } { (section.title) }
                        }
                    }
                    @for (index, cell) in cells.iter().enumerate() {
                        td class=[number(index > 0)] { (cell) }
                    }
                    @if row == 0 {
                        td rowspan=[span] {
                            @match summary::judgement(section) {
                                Some(judgement) => (badge(judgement)),
                                None => (summary::NOTHING),
                            }
                        }
                    }
                }
            }
        }
    }
}

fn section(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            @if let Some(paper) = &section.paper { p .paper { "In the paper: " (paper) } }
            p .question { (section.question) }
            @if let Some(verdict) = &section.verdict {
                p .verdict { (badge(verdict.judgement)) " " (verdict.words) }
            }
            @for (name, block) in blocks(section) {
                @match block {
                    Block::Text(text) => p { (text) },
                    Block::Table(table) => (self::table(table, &name)),
                    Block::Chart(chart) => (figure(chart, &name)),
                    Block::Details { summary, text } => details {
                        @let label = format!("{name}_summary");
                        summary id=(label) { (summary) }
                        (scrolling(&label, html! { pre { code { (text) } } }))
                    },
                    Block::Picture(picture) => (self::picture(picture)),
                }
            }
            p .back { a href={ "#" (SUMMARY) } { "Back to the summary" } }
        }
    }
}

fn table(table: &Table, name: &str) -> Markup {
    let caption = format!("{name}_caption");
    html! {
        (scrolling(&caption, html! {
            table {
                caption id=(caption) { span { (table.caption) } }
                thead {
                    tr {
                        @for column in &table.columns {
                            th class=[number(column.numeric)] scope="col" { (column.name) }
                        }
                    }
                }
                tbody {
                    @for (index, row) in table.rows.iter().enumerate() {
                        tr class=[(table.emphasis == Some(index)).then_some("emphasis")] {
                            @for (index, (cell, column)) in row.iter().zip(&table.columns).enumerate() {
                                @if index == 0 {
                                    th class=[number(column.numeric)] scope="row" { (cell) }
                                } @else {
                                    td class=[number(column.numeric)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }))
        @if let Some(note) = &table.note { p .note { (note) } }
    }
}

fn figure(chart: &Chart, name: &str) -> Markup {
    html! {
        figure {
            figcaption { (chart.caption) }
            (chart::inline(chart, name))
        }
    }
}

fn picture(picture: &Picture) -> Markup {
    let data = BASE64_STANDARD.encode(&picture.png);
    html! {
        figure {
            figcaption { (picture.caption) }
            img alt=(picture.alt) src={ "data:image/png;base64," (data) };
        }
    }
}

/// What may be wider than the screen scrolls on its own, by keyboard too. `label` is the id of what
/// names it.
fn scrolling(label: &str, content: Markup) -> Markup {
    html! { div .scroll role="region" tabindex="0" aria-labelledby=(label) { (content) } }
}

fn number(numeric: bool) -> Option<&'static str> {
    numeric.then_some("number")
}

fn badge(judgement: Judgement) -> Markup {
    let class = match judgement {
        Judgement::Confirmed => "good",
        Judgement::Partly => "partly",
        Judgement::NotOnThisData => "bad",
        Judgement::Undecided | Judgement::NotMeasured => "open",
    };
    html! { strong .badge.(class) { (judgement.words()) } }
}
