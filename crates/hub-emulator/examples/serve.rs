//! Serves a folder as a data set, to try clients by hand:
//! `cargo run -p hub-emulator --example serve -- OWNER/NAME FOLDER`, then `HF_ENDPOINT=… tandem …`.

use std::fs;
use std::io::Result;
use std::path::Path;
use std::thread;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, folder] = arguments.as_slice() else {
        eprintln!("usage: serve OWNER/NAME FOLDER");
        std::process::exit(2);
    };
    let mut files = Vec::new();
    collect(Path::new(folder), "", &mut files)?;
    let files: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, contents)| (path.as_str(), contents.as_slice()))
        .collect();
    let hub = hub_emulator::Hub::start();
    println!(
        "{name}, commit {}\nHF_ENDPOINT={}",
        hub.push(name, "main", &files),
        hub.endpoint()
    );
    loop {
        thread::park();
    }
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
