#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = tandem_formats::import_bytes(bytes, &tandem_formats::Options::default());
});
