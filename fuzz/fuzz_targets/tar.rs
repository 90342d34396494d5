#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = tandem_data::fuzzing::tar(bytes);
});
