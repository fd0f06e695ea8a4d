//! Watching: samples of a server, their history, and what is wrong.

pub mod sample;

pub use sample::{Sample, Sampler, Target};
