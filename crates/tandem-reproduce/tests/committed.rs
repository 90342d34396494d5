//! `docs/reproduction`: its page is made of the logs beside it, and of nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tandem_reproduce::report;
use tandem_reproduce::study::Study;

#[test]
fn the_committed_page_is_that_of_the_committed_logs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reproduction");
    let made = report::files(&Study::there(&folder).unwrap()).unwrap();
    assert!(made.contains_key("index.html"));
    for (name, bytes) in &made {
        assert!(
            fs::read(folder.join(name)).is_ok_and(|there| there == *bytes),
            "{name} is another: tandem reproduce all --report --out docs/reproduction writes it anew"
        );
    }
    let charts = fs::read_dir(folder.join("charts")).unwrap();
    let there: BTreeSet<String> = charts
        .map(|chart| format!("charts/{}", chart.unwrap().file_name().display()))
        .collect();
    let drawn = made.keys().filter(|name| name.starts_with("charts/"));
    assert_eq!(there, drawn.cloned().collect());
}
