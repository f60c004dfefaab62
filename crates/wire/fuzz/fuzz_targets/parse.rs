//! `cargo +nightly fuzz run parse`, in `crates/wire`.

#![no_main]

#[path = "../every_parser.rs"]
mod every_parser;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| every_parser::parse(bytes));
