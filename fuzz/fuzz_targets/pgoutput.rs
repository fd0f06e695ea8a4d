//! Arbitrary bytes as a message of the output plugin: never a panic, never more memory than the bytes bear out.
//! `tests/replication/decoder.rs` does the same with mutated messages of a real server on the stable toolchain.

#![no_main]

use libfuzzer_sys::fuzz_target;
use walpilot::replication::probe::{Read, read_message};

fuzz_target!(|bytes: &[u8]| {
    if let Read::Message { reserved } = read_message(bytes) {
        assert!(reserved <= bytes.len(), "{reserved} elements reserved for {} bytes", bytes.len());
    }
});
