//! Downloads a data set, or finds it in the cache:
//! `cargo run -p tandem-hub --example dataset -- hf:OWNER/NAME[@REVISION][:PART]`.

fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    let mut percent = 0;
    let snapshot = tandem_hub::dataset(&name, &mut |progress| {
        let now = progress.done * 100 / progress.total.max(1);
        if now != percent {
            percent = now;
            eprintln!("{percent}% {}", progress.file);
        }
    });
    match snapshot {
        Ok(snapshot) => println!("{snapshot:#?}"),
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(1);
        }
    }
}
