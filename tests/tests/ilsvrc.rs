//! ILSVRC from its archives to the answers that its server takes.

#[path = "../../crates/tandem-data/tests/common/mod.rs"]
mod common;

use common::ilsvrc::{CLASSES, Ilsvrc};
use tandem_tests::{TINY, place};

#[test]
fn the_test_pictures_are_answered_as_the_server_takes_them() {
    let place = place!();
    place.write("tiny.toml", TINY);
    Ilsvrc::new().archives(&place.path("ilsvrc"));
    let run = |args: &str| place.tandem(args.split(' ')).succeeds().stdout;
    run("train --model tiny.toml --data ilsvrc --epochs 1 --batch 4 --out run");

    let predict = "predict --weights run --data ilsvrc --views 10";
    run(&format!("{predict} --submission answer.txt"));
    let answers = place.text("answer.txt");
    // By name, the first of each line the likeliest, in the devkit's numbers.
    let predicted = run(&format!("{predict} --json"));
    let wanted: String = predicted
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let predictions = line["predictions"].as_array().unwrap();
            let ids = predictions.iter().map(|prediction| {
                let wnid = prediction["label"]
                    .as_str()
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap();
                let class = CLASSES.iter().find(|(known, _)| *known == wnid).unwrap();
                class.1.to_string()
            });
            ids.collect::<Vec<_>>().join(" ") + "\n"
        })
        .collect();
    assert_eq!((answers.lines().count(), &answers), (3, &wanted));

    // A pack has an order of its own, and no devkit.
    run("data pack ilsvrc packed --side 16 -q");
    let packed = "predict --weights run --data packed --views 10 --submission again.txt";
    place
        .tandem(packed.split(' '))
        .refused(1, &["ILSVRC2012_devkit_t12.tar.gz"]);
    run(&format!("{packed} --devkit ilsvrc"));
    assert_eq!(place.text("again.txt"), answers);
    let eval = |data: &str| -> serde_json::Value {
        let done = run(&format!(
            "eval --weights run --data {data} --views 10 --json"
        ));
        serde_json::from_str(&done).unwrap()
    };
    let [packed, archives] = [eval("packed"), eval("ilsvrc")];
    for exact in ["images", "top1_error", "top5_error"] {
        assert_eq!(packed[exact], archives[exact], "{exact}");
    }
    // The sum of the same losses in another order.
    let loss = |of: &serde_json::Value| of["loss"].as_f64().unwrap();
    assert!((loss(&packed) - loss(&archives)).abs() < 1e-12 * loss(&archives));
}
