//! What is on the screen and what a key does to it: pure state.

pub mod dashboard;
