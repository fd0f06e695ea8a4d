//! Drawing: pure functions from state to a buffer, one file for each screen.

pub mod dashboard;
pub mod theme;

pub use theme::Theme;
