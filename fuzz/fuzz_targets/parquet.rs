#![no_main]

// The parquet crate panics on some damaged pages, which is caught; libFuzzer's hook would end the process.
libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| {})), |bytes: &[u8]| {
    let _ = tandem_data::fuzzing::parquet(bytes);
});
