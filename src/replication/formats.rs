//! What the text of values depends on beside what every session of walpilot sets anyway (`connection::session`).
//!
//! Values go from one server to the other as text. So whoever writes it and whoever reads it must agree, whatever the
//! roles and databases have as their defaults.

/// For a session that reads or writes rows as text: `money` is written in the style of `lc_monetary`, and with
/// `array_nulls` off a null in an array would be read as the word. `regclass` and its kin are written with as few quotes
/// as `quote_all_identifiers` lets them.
pub(super) const SESSION: &str = "SET lc_monetary = 'C'; SET array_nulls = on; SET xmloption = content; \
                                  SET quote_all_identifiers = off";

/// For a session that works for long or waits for long: limits that newer servers have beside those that every session
/// of walpilot sets (`transaction_timeout` from PostgreSQL 17, `idle_session_timeout` from 14).
pub(super) const NO_LIMITS: &str = "SELECT set_config(name, '0', false) FROM pg_settings \
                                    WHERE name IN ('transaction_timeout', 'idle_session_timeout')";
