//! Drawing: pure functions from state to a buffer, one file for each screen.

pub mod theme;

pub use theme::Theme;
