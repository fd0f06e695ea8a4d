//! The text that Prometheus reads: its own format (version 0.0.4), or OpenMetrics 1.0.
//!
//! One family after the other, each with HELP and TYPE. What is not known is `NaN`: the series stays, and no comparison
//! with it holds, so an unknown lag looks neither small nor large.

use std::fmt::Write;

use crate::connection::printable;

/// What kind of number a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes up and down.
    Gauge,
    /// It only grows, until it begins anew. Its samples end in `_total`, which the name leaves out.
    Counter,
}

/// A page of metrics under way.
#[derive(Clone, Debug)]
pub struct Exposition {
    text: String,
    open_metrics: bool,
}

/// A family whose samples are being written.
pub struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Exposition {
    /// Prometheus' own format, which every reader understands.
    #[must_use]
    pub fn prometheus() -> Self {
        Self { text: String::new(), open_metrics: false }
    }

    /// OpenMetrics.
    #[must_use]
    pub fn open_metrics() -> Self {
        Self { text: String::new(), open_metrics: true }
    }

    /// The media type.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        if self.open_metrics {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    /// Begins a family. The name of a counter is given without `_total`; base units (`_bytes`, `_seconds`) stand in
    /// the name. A family is written once, all its samples together.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let (sample, word) = match kind {
            Kind::Gauge => (name.to_owned(), "gauge"),
            Kind::Counter => (format!("{name}_total"), "counter"),
        };
        // OpenMetrics names the family, the older format the samples.
        let family = if self.open_metrics { name } else { sample.as_str() };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {word}");
        if let Some(unit) = ["bytes", "seconds"].into_iter().find(|unit| self.open_metrics && name.ends_with(unit)) {
            let _ = writeln!(self.text, "# UNIT {family} {unit}");
        }
        Family { text: &mut self.text, name: sample }
    }

    /// A family with one sample without labels.
    pub fn number(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Option<f64>>) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The finished page.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

impl Family<'_> {
    /// One sample; `None` is a number that is not known.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Option<f64>>) {
        self.text.push_str(&self.name);
        for (number, (label, text)) in labels.iter().enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let value = value.into().unwrap_or(f64::NAN);
        let _ = match value {
            f64::INFINITY => writeln!(self.text, " +Inf"),
            f64::NEG_INFINITY => writeln!(self.text, " -Inf"),
            value => writeln!(self.text, " {value}"),
        };
    }
}

/// A label's value. Control characters are legal there, but people read these pages on terminals.
fn escaped(text: &str) -> String {
    printable(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{Exposition, Kind};

    #[test]
    fn both_formats_name_counters_as_their_readers_expect() {
        let page = |mut page: Exposition| {
            page.number("walpilot_samples", Kind::Counter, "Samples.", 3.0);
            page.number("walpilot_lag_bytes", Kind::Gauge, "Lag.", None);
            page.finish()
        };
        assert_eq!(
            page(Exposition::prometheus()),
            "# HELP walpilot_samples_total Samples.\n# TYPE walpilot_samples_total counter\nwalpilot_samples_total 3\n\
             # HELP walpilot_lag_bytes Lag.\n# TYPE walpilot_lag_bytes gauge\nwalpilot_lag_bytes NaN\n# EOF\n"
        );
        assert_eq!(
            page(Exposition::open_metrics()),
            "# HELP walpilot_samples Samples.\n# TYPE walpilot_samples counter\nwalpilot_samples_total 3\n\
             # HELP walpilot_lag_bytes Lag.\n# TYPE walpilot_lag_bytes gauge\n# UNIT walpilot_lag_bytes bytes\n\
             walpilot_lag_bytes NaN\n# EOF\n"
        );
    }

    #[test]
    fn a_label_keeps_on_its_line_whatever_a_server_calls_its_tables() {
        let mut page = Exposition::prometheus();
        let mut family = page.family("walpilot_rows", Kind::Gauge, "A \\ and a\nline");
        family.sample(&[("schema", "a\"b"), ("table", "c\\d\n\u{1b}[2J}")], f64::INFINITY);
        let text = page.finish();
        assert!(text.contains("# HELP walpilot_rows A \\\\ and a\\nline\n"), "{text}");
        assert!(text.contains("walpilot_rows{schema=\"a\\\"b\",table=\"c\\\\d"), "{text}");
        assert!(!text.contains('\u{1b}') && text.lines().count() == 4 && text.contains("} +Inf\n"), "{text}");
    }
}
