//! The report as a reader gets it. `scripts/check-report.sh` looks at the same page in a browser.

mod charts;
mod example;

use std::collections::{BTreeMap, BTreeSet};

use example::{lines, page, section};
use tandem_reproduce::page::{
    Block, Chart, Column, Effect, Files, Judgement, Page, PageError, Plot, Published, Section,
    Series, Table, Unit, Verdict, render,
};

const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\" | `code` *b* [l](x) </style></svg>\n# no heading\n- no item \u{7}";

fn text(files: &Files, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

/// What stands between `start` and the next `end`, each time.
fn between<'a>(text: &'a str, start: &str, end: char) -> Vec<&'a str> {
    let parts = text.split(start).skip(1);
    parts.map(|rest| rest.split(end).next().unwrap()).collect()
}

fn one_section(section: Section) -> Page {
    Page {
        sections: vec![section],
        ..page()
    }
}

#[test]
fn the_same_page_is_the_same_to_the_byte() {
    let (once, again) = (render(&page()).unwrap(), render(&page()).unwrap());
    assert_eq!(once, again);
    let names: Vec<_> = once.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "README.md",
            "charts/activations_1.svg",
            "charts/activations_3.svg",
            "charts/dropout_1.svg",
            "charts/lrn_1.svg",
            "charts/summary.svg",
            "index.html",
            "pictures/dropout_2.png",
        ]
    );
    // For scripts/check-report.sh, and for whoever wants to see it.
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
    for (name, content) in once {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

#[test]
fn the_page_asks_for_nothing() {
    let html = text(&render(&page()).unwrap(), "index.html");
    for source in between(&html, " src=\"", '"') {
        assert!(source.starts_with("data:image/png;base64,"), "{source}");
    }
    for link in between(&html, " href=\"", '"') {
        assert!(link.starts_with('#'), "{link}");
    }
    for asking in [
        "<script", "<link", "<iframe", "@import", "url(", "http://", "https://",
    ] {
        assert!(!html.contains(asking), "{asking}");
    }
}

#[test]
fn every_section_is_reached_from_the_summary_and_leads_back() {
    let files = render(&page()).unwrap();
    let (html, markdown) = (text(&files, "index.html"), text(&files, "README.md"));
    let summary = &html[html.find("<section id=\"summary\"").unwrap()..];
    let summary = &summary[..summary.find("</section>").unwrap()];
    for section in page().sections {
        let id = &section.id;
        assert!(summary.contains(&format!("<a href=\"#{id}\">")), "{id}");
        assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
        assert!(markdown.contains(&format!("](#{id}) |")), "{id}");
        assert!(
            markdown.contains(&format!("<a id=\"{id}\"></a>\n\n## ")),
            "{id}"
        );
    }
    let back = page().sections.len();
    assert_eq!(html.matches("<a href=\"#summary\">Back").count(), back);
    assert_eq!(markdown.matches("](#summary)").count(), back);
}

#[test]
fn an_anchor_stands_for_one_thing_and_every_reference_has_one() {
    let html = text(&render(&page()).unwrap(), "index.html");
    let mut ids = BTreeSet::new();
    for id in between(&html, " id=\"", '"') {
        assert!(ids.insert(id), "{id} twice");
    }
    for start in [" href=\"#", "labelledby=\"", "describedby=\""] {
        let references = between(&html, start, '"');
        assert!(references.len() > 4, "{start}");
        for reference in references {
            assert!(ids.contains(reference), "{start}{reference}");
        }
    }
}

#[test]
fn the_files_that_the_twin_shows_are_there_and_no_others() {
    let files = render(&page()).unwrap();
    let markdown = text(&files, "README.md");
    let mut shown: BTreeSet<_> = between(&markdown, "](", ')').into_iter().collect();
    shown.retain(|path| !path.starts_with('#'));
    let there = files.keys().map(String::as_str);
    let there: BTreeSet<_> = there.filter(|name| name.contains('/')).collect();
    assert_eq!(shown, there);
}

#[test]
fn page_and_twin_say_the_same() {
    let files = render(&page()).unwrap();
    let (html, markdown) = (text(&files, "index.html"), text(&files, "README.md"));
    let said = [
        "4 experiments: 1 confirmed, 1 partly confirmed, 1 not on this data, 1 undecided.",
        "+0.11 to +0.59",
        "−0.42 to +0.22",
        "about 1/6",
        "Section 3.3",
        "not within 20",
        "12 hours 34 minutes",
        "learning_rate = 0.01",
        "Filters of the first layer",
    ];
    for words in said {
        assert!(html.contains(words) && markdown.contains(words), "{words}");
    }
    // The row of an effect: published, measured, interval; the judgement is of the whole section.
    let row = "| [Local response normalisation](#lrn) | top-1 error | −1.4 | +0.35 | +0.11 to +0.59 | not on this data |\n\
               |  | top-5 error | −1.2 | +0.02 | −0.06 to +0.10 |  |\n";
    assert!(markdown.contains(row), "{markdown}");
    let row = "<th scope=\"rowgroup\" rowspan=\"2\"><a href=\"#lrn\">Local response normalisation</a></th>\
               <td>top-1 error</td><td class=\"number\">−1.4</td><td class=\"number\">+0.35</td>\
               <td class=\"number\">+0.11 to +0.59</td>\
               <td rowspan=\"2\"><strong class=\"badge bad\">not on this data</strong></td>";
    let start = html.find("<th scope=\"rowgroup\" rowspan=\"2\">").unwrap();
    assert!(
        html[start..].starts_with(row),
        "{}",
        &html[start..][..row.len()]
    );
}

#[test]
fn hostile_text_is_text_wherever_it_stands() {
    let hostile = || HOSTILE.to_owned();
    let mut page = page();
    page.title = hostile();
    page.lead = vec![hostile()];
    page.facts = vec![(hostile(), hostile())];
    page.interval = hostile();
    let table = Table {
        caption: hostile(),
        columns: vec![Column {
            name: hostile(),
            numeric: true,
        }],
        rows: vec![vec![hostile()]],
        emphasis: Some(0),
        note: Some(hostile()),
    };
    let chart = Chart {
        caption: hostile(),
        plot: lines(vec![Series {
            name: hostile(),
            points: vec![(1.0, 0.5.into())],
        }]),
    };
    page.sections = vec![Section {
        title: hostile(),
        paper: Some(hostile()),
        question: hostile(),
        verdict: Some(Verdict {
            judgement: Judgement::Confirmed,
            words: hostile(),
        }),
        effects: vec![Effect {
            name: hostile(),
            unit: Unit::Points,
            published: Some(Published {
                words: hostile(),
                value: 1.0,
            }),
            measured: None,
        }],
        blocks: vec![
            Block::Text(hostile()),
            Block::Table(table),
            Block::Chart(chart),
            Block::Details {
                summary: hostile(),
                text: format!("{HOSTILE}\n```\n````"),
            },
        ],
        ..section("hostile", "")
    }];
    let files = render(&page).unwrap();

    let html = text(&files, "index.html");
    assert!(
        !html.contains("<script") && !html.contains("\"quoted\""),
        "{html}"
    );
    assert_eq!(html.matches("</style>").count(), 1);
    assert_eq!(html.matches("</svg>").count(), html.matches("<svg").count());
    assert!(html.contains("&lt;script&gt;alert('x')&lt;/script&gt; &amp; &quot;quoted&quot;"));

    let markdown = text(&files, "README.md");
    let (before, rest) = markdown.split_once("\n`````toml\n").unwrap();
    let (kept, after) = rest.split_once("\n`````\n").unwrap();
    assert_eq!(kept, format!("{HOSTILE}\n```\n````"));
    let outside = format!("{before}{after}");
    assert!(outside.contains(r"\<script\>alert('x')\</script\> \& "));
    for line in outside.lines() {
        assert!(!line.replace(r"\<", "").contains("<script"), "{line}");
        assert!(
            !line.starts_with("# no") && !line.starts_with("- no"),
            "{line}"
        );
        if line.starts_with('|') {
            let columns = line.replace(r"\|", "").matches('|').count() - 1;
            assert!(columns == 1 || columns == 6, "{columns}: {line}");
        }
    }

    for name in ["charts/hostile_3.svg", "charts/summary.svg"] {
        let svg = text(&files, name);
        let parsed = roxmltree::Document::parse(&svg).unwrap();
        let title = parsed
            .descendants()
            .find(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")));
        assert!(
            title
                .unwrap()
                .text()
                .unwrap()
                .contains("<script>alert('x')</script>"),
            "{svg}"
        );
        assert!(!svg.contains("<script"), "{svg}");
    }
}

#[test]
fn the_first_letters_of_a_paragraph_make_no_list_of_it() {
    let said = ["- a", "+ b", "1. c", "12) d", "=== e", "# f", "1.5 points"];
    let page = Page {
        lead: said.map(str::to_owned).to_vec(),
        ..page()
    };
    let markdown = text(&render(&page).unwrap(), "README.md");
    for escaped in [
        "\\- a",
        "\\+ b",
        "1\\. c",
        "12\\) d",
        "\\=== e",
        "\\# f",
        "1\\.5 points",
    ] {
        assert!(
            markdown.contains(&format!("\n\n{escaped}\n\n")),
            "{escaped}: {markdown}"
        );
    }
}

#[test]
fn what_the_model_cannot_mean_is_an_error_that_names_it() {
    let fails = |change: fn(&mut Page)| {
        let mut page = page();
        change(&mut page);
        render(&page).unwrap_err()
    };
    let told: BTreeMap<_, _> = [
        (
            "an id",
            fails(|page| page.sections[1].id = "L R N".to_owned()),
        ),
        (
            "twice",
            fails(|page| page.sections[1].id = "dropout".to_owned()),
        ),
        (
            "the summary's",
            fails(|page| page.sections[1].id = "summary".to_owned()),
        ),
        (
            "a row",
            fails(|page| {
                if let Block::Table(table) = &mut page.sections[0].blocks[1] {
                    table.rows[1].pop();
                }
            }),
        ),
        (
            "bars",
            fails(|page| {
                if let Block::Chart(Chart {
                    plot: Plot::Bars { series, .. },
                    ..
                }) = &mut page.sections[1].blocks[0]
                {
                    series[1].values.pop();
                }
            }),
        ),
    ]
    .into();
    assert!(matches!(told["an id"], PageError::Id { .. }));
    assert!(told["an id"].to_string().contains("`L R N`"));
    let twice = told["twice"].to_string();
    assert!(
        twice.contains("Local response normalisation") && twice.contains("Dropout"),
        "{twice}"
    );
    assert!(told["the summary's"].to_string().contains("\"Summary\""));
    let row = told["a row"].to_string();
    assert!(
        row.contains("row 2") && row.contains("3 cells for 4 columns"),
        "{row}"
    );
    let bars = told["bars"].to_string();
    assert!(
        bars.contains("\"top-5\"") && bars.contains("1 for 2 categories"),
        "{bars}"
    );
}
