#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mimc_fuzz::pattern(bytes));
