//! What charts draw, and what they leave out.

use tandem_reproduce::page::{Block, Chart, Estimate, Plot, Section, Series, render};

use crate::example::{lines, page, section};
use crate::{one_section, text};

/// The chart as a file, which is well-formed.
fn drawn(plot: Plot) -> String {
    let chart = Chart {
        caption: "A chart".to_owned(),
        plot,
    };
    let blocks = vec![Block::Chart(chart)];
    let files = render(&one_section(Section {
        blocks,
        ..section("only", "Only")
    }));
    let svg = text(&files.unwrap(), "charts/only_1.svg");
    roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}: {svg}"));
    svg
}

fn curve(points: &[(f64, f64)]) -> Plot {
    let points = points.iter().map(|&(x, y)| (x, Estimate::from(y)));
    lines(vec![Series {
        name: "a series".to_owned(),
        points: points.collect(),
    }])
}

/// How many markers there are; one of them is the legend's.
fn markers(svg: &str) -> usize {
    svg.matches("class=\"mark\"").count()
}

#[test]
fn a_chart_draws_what_can_be_drawn() {
    let all = [(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)];
    assert_eq!(markers(&drawn(curve(&all))), 1 + 3);
    let one = drawn(curve(&all[..1]));
    assert_eq!(markers(&one), 1 + 1);
    assert!(one.contains("a series: 50.0\u{a0}% at 1.00."), "{one}");
    let equal = drawn(curve(&[(1.0, 0.5), (1.0, 0.5)]));
    assert_eq!(markers(&equal), 1 + 2);
    for nothing in [
        curve(&[]),
        curve(&[(f64::NAN, 0.5), (1.0, f64::INFINITY)]),
        lines(Vec::new()),
    ] {
        let svg = drawn(nothing);
        assert!(
            svg.contains(">No values</text>") && markers(&svg) == 0,
            "{svg}"
        );
    }
    let gap = drawn(curve(&[
        (1.0, 0.5),
        (2.0, 0.4),
        (3.0, f64::NAN),
        (4.0, 0.3),
        (5.0, 0.2),
    ]));
    assert_eq!(markers(&gap), 1 + 4);
    let pieces = gap.matches("<path class=\"line\"").count();
    assert_eq!(
        pieces,
        1 + 2,
        "the legend's, and one on each side of the gap"
    );
    for range in [1e-310, 1e-12, 1e12, 1e299] {
        let svg = drawn(curve(&[(-range, -range), (range, range)]));
        assert_eq!(markers(&svg), 1 + 2, "{range}");
    }
}

#[test]
fn no_chart_holds_a_number_that_is_none() {
    for (name, content) in render(&page()).unwrap() {
        if name.ends_with(".svg") {
            let svg = String::from_utf8(content).unwrap();
            let document = roxmltree::Document::parse(&svg).unwrap();
            for node in document.descendants().filter(|node| node.is_element()) {
                for attribute in node.attributes() {
                    let value = attribute.value();
                    assert!(
                        !value.contains("NaN") && !value.contains("inf"),
                        "{name}: {value}"
                    );
                }
            }
        }
    }
}
