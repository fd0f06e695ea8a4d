//! The interface without a terminal: journeys of a user through the pure state, and what is drawn at every step.

mod journeys;
mod person;
mod screens;
