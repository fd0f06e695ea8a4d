//! The terminal wizard and dashboard: pure state, pure drawing, and a thin loop around them.
//!
//! `key or task -> Message -> update(&mut App, Message, now) -> Vec<Effect> -> task -> Message`, and apart from it
//! `view(&App, &Theme, Rect, &mut Buffer)`. Nothing in the interface ever waits for input or output.

pub mod app;
pub mod view;
