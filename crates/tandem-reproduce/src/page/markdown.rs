//! The page as Markdown for a code host: the same words and tables; charts and pictures are files
//! beside it.

use super::model::{Block, Judgement, Page, Section, Table};
use super::{SUMMARY, blocks, summary};

pub(super) fn render(page: &Page) -> String {
    let mut parts = vec![format!("# {}", line(&page.title))];
    parts.extend(page.lead.iter().map(|text| paragraph(text)));
    let facts = page.facts.iter();
    let facts = facts.map(|(name, value)| format!("- **{}:** {}", line(name), line(value)));
    parts.push(facts.collect::<Vec<_>>().join("\n"));
    summarise(page, &mut parts);
    for section in &page.sections {
        tell(section, &mut parts);
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

fn summarise(page: &Page, parts: &mut Vec<String>) {
    parts.push(heading(SUMMARY, "Summary"));
    parts.push(summary::tally(page));
    let mut columns = vec![("Experiment", false)];
    let middle = summary::columns(page).into_iter().enumerate();
    columns.extend(middle.map(|(index, name)| (name, index > 0)));
    columns.push(("Judgement", false));
    let mut rows = Vec::new();
    for section in &page.sections {
        for (index, cells) in summary::rows(section).iter().enumerate() {
            let mut row = vec![String::new(); 6];
            if index == 0 {
                row[0] = format!("[{}](#{})", line(&section.title), section.id);
                row[5] = summary::judgement(section)
                    .map_or(summary::NOTHING, Judgement::words)
                    .to_owned();
            }
            for (place, cell) in row[1..5].iter_mut().zip(cells) {
                *place = line(cell);
            }
            rows.push(row);
        }
    }
    parts.push(caption(summary::CAPTION));
    parts.push(grid(&columns, &rows));
    if let Some(forest) = summary::forest(page) {
        parts.push(caption(&forest.caption));
        parts.push(image(&forest.caption, "charts/summary.svg"));
    }
}

fn tell(section: &Section, parts: &mut Vec<String>) {
    parts.push(heading(&section.id, &section.title));
    if let Some(paper) = &section.paper {
        parts.push(format!("In the paper: {}", line(paper)));
    }
    parts.push(format!("*{}*", line(&section.question)));
    if let Some(verdict) = &section.verdict {
        let judgement = verdict.judgement.words();
        parts.push(format!("**{judgement}:** {}", line(&verdict.words)));
    }
    for (name, block) in blocks(section) {
        match block {
            Block::Text(text) => parts.push(paragraph(text)),
            Block::Table(table) => {
                parts.push(caption(&table.caption));
                parts.push(self::table(table));
                parts.extend(table.note.as_ref().map(|note| paragraph(note)));
            }
            Block::Chart(chart) => {
                parts.push(caption(&chart.caption));
                parts.push(image(&chart.caption, &format!("charts/{name}.svg")));
            }
            Block::Details { summary, text } => parts.push(details(summary, text)),
            Block::Picture(picture) => {
                parts.push(caption(&picture.caption));
                parts.push(image(&picture.alt, &format!("pictures/{name}.png")));
            }
        }
    }
    parts.push(format!("[Back to the summary](#{SUMMARY})"));
}

/// With an anchor of its own: what a host makes of the words differs from host to host.
fn heading(id: &str, words: &str) -> String {
    format!("<a id=\"{id}\"></a>\n\n## {}", line(words))
}

fn caption(words: &str) -> String {
    format!("**{}**", line(words))
}

fn image(words: &str, path: &str) -> String {
    format!("![{}]({path})", line(words))
}

fn table(table: &Table) -> String {
    let columns = table.columns.iter();
    let columns: Vec<_> = columns.map(|c| (c.name.as_str(), c.numeric)).collect();
    let rows = table.rows.iter().enumerate().map(|(index, row)| {
        let strong = table.emphasis == Some(index);
        row.iter()
            .map(|cell| match line(cell) {
                cell if strong && !cell.is_empty() => format!("**{cell}**"),
                cell => cell,
            })
            .collect()
    });
    grid(&columns, &rows.collect::<Vec<_>>())
}

/// Names and alignment of the columns, and cells that are Markdown already.
fn grid(columns: &[(&str, bool)], rows: &[Vec<String>]) -> String {
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let names: Vec<_> = columns.iter().map(|(name, _)| line(name)).collect();
    let rules = columns
        .iter()
        .map(|(_, numeric)| if *numeric { "---:" } else { "---" });
    let rules: Vec<_> = rules.map(str::to_owned).collect();
    let head = [row(&names), row(&rules)];
    let rows = rows.iter().map(|cells| row(cells));
    head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn details(summary: &str, text: &str) -> String {
    // A fence is longer than any in the text.
    let runs = text.split(|c| c != '`').map(str::len);
    let fence = "`".repeat(runs.max().unwrap_or(0).max(2) + 1);
    let summary = maud::html! { details { summary { (summary) } } }.into_string();
    let open = summary
        .strip_suffix("</details>")
        .expect("that is how it ends");
    // A blank line would end HTML that has one within.
    let open = open.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.trim_end_matches('\n');
    format!("{open}\n\n{fence}toml\n{text}\n{fence}\n\n</details>")
}

/// A paragraph that no first letter turns into a list, a heading or a rule.
fn paragraph(text: &str) -> String {
    let text = line(text);
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if number.len() < text.len() && number.starts_with(['.', ')']) {
        let digits = text.len() - number.len();
        return format!("{}\\{number}", &text[..digits]);
    }
    if text.starts_with(['-', '+', '=']) {
        return format!("\\{text}");
    }
    text
}

/// Text on one line in which nothing is Markdown or HTML.
fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for c in word.chars() {
            if r"\`*_[]<>&|~#$!".contains(c) {
                out.push('\\');
            }
            out.push(c);
        }
    }
    out
}
