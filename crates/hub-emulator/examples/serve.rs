//! A hub to try clients on by hand, as `HF_ENDPOINT=… HF_TOKEN=token tandem …`:
//!
//! ```text
//! cargo run -p hub-emulator --example serve -- OWNER [data|model NAME FOLDER]...
//! ```
//!
//! It serves each folder as a data set or model of OWNER's; who has the token may add others.

use std::fs;
use std::io::Result;
use std::path::Path;
use std::thread;

use hub_emulator::{Hub, Right};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some((owner, served)) = arguments.split_first() else {
        usage();
    };
    let hub = Hub::start();
    hub.allow("token", owner, Right::Write);
    for one in served.chunks(3) {
        let &[kind, name, folder] = one else { usage() };
        let mut files = Vec::new();
        collect(Path::new(folder), "", &mut files)?;
        let files = files
            .iter()
            .map(|(path, contents)| (path.as_str(), contents.as_slice()));
        let (files, name): (Vec<_>, _) = (files.collect(), format!("{owner}/{name}"));
        let commit = match kind {
            "data" => hub.push(&name, "main", &files),
            "model" => hub.push_model(&name, "main", &files),
            _ => usage(),
        };
        println!("{name}, commit {commit}");
    }
    println!("HF_ENDPOINT={} HF_TOKEN=token", hub.endpoint());
    loop {
        thread::park();
    }
}

fn usage() -> ! {
    eprintln!("usage: serve OWNER [data|model NAME FOLDER]...");
    std::process::exit(2);
}

fn collect(folder: &Path, below: &str, files: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = format!(
            "{below}{}",
            path.file_name().unwrap_or_default().to_string_lossy()
        );
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files)?;
        } else {
            files.push((name, fs::read(&path)?));
        }
    }
    Ok(())
}
