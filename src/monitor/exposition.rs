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

/// A page of metrics under way. Several sources may write to it one after the other, each under its own label: a family
/// stands in one piece all the same.
#[derive(Clone, Debug)]
pub struct Exposition {
    families: Vec<Written>,
    label: Option<(&'static str, String)>,
    open_metrics: bool,
}

#[derive(Clone, Debug)]
struct Written {
    name: String,
    head: String,
    samples: String,
}

/// A family whose samples are being written.
pub struct Family<'a> {
    text: &'a mut String,
    label: Option<(&'static str, &'a str)>,
    name: String,
    kind: Kind,
}

impl Exposition {
    fn new(open_metrics: bool) -> Self {
        Self { families: Vec::new(), label: None, open_metrics }
    }

    /// Prometheus' own format, which every reader understands.
    #[must_use]
    pub fn prometheus() -> Self {
        Self::new(false)
    }

    /// OpenMetrics.
    #[must_use]
    pub fn open_metrics() -> Self {
        Self::new(true)
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

    /// A label for each sample from now on, before its own ones.
    pub fn label(&mut self, name: &'static str, value: &str) {
        self.label = Some((name, value.to_owned()));
    }

    /// Begins a family, or goes on with it. The name of a counter is given without `_total`; base units (`_bytes`,
    /// `_seconds`) stand in the name.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let (sample, word) = match kind {
            Kind::Gauge => (name.to_owned(), "gauge"),
            Kind::Counter => (format!("{name}_total"), "counter"),
        };
        let at = self.families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            let head = head(name, &sample, word, help, self.open_metrics);
            self.families.push(Written { name: name.to_owned(), head, samples: String::new() });
            self.families.len() - 1
        });
        let label = self.label.as_ref().map(|(name, value)| (*name, value.as_str()));
        Family { text: &mut self.families[at].samples, label, name: sample, kind }
    }

    /// A family with one sample without labels of its own.
    pub fn number(&mut self, name: &str, kind: Kind, help: &str, value: impl Into<Option<f64>>) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The finished page.
    #[must_use]
    pub fn finish(self) -> String {
        let mut page: String = self.families.into_iter().flat_map(|family| [family.head, family.samples]).collect();
        page.push_str("# EOF\n");
        page
    }
}

fn head(name: &str, sample: &str, word: &str, help: &str, open_metrics: bool) -> String {
    // OpenMetrics names the family, the older format the samples.
    let family = if open_metrics { name } else { sample };
    let help = help.replace('\\', "\\\\").replace('\n', "\\n");
    let mut head = format!("# HELP {family} {help}\n# TYPE {family} {word}\n");
    if let Some(unit) = ["bytes", "seconds"].into_iter().find(|unit| open_metrics && name.ends_with(unit)) {
        let _ = writeln!(head, "# UNIT {family} {unit}");
    }
    head
}

impl Family<'_> {
    /// One sample; `None` is a number that is not known. A gauge is NaN then; a counter can't be (OpenMetrics), so it
    /// has no sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Option<f64>>) {
        let value = match (value.into(), self.kind) {
            (Some(value), _) => value,
            (None, Kind::Gauge) => f64::NAN,
            (None, Kind::Counter) => return,
        };
        self.text.push_str(&self.name);
        let all = self.label.iter().chain(labels);
        for (number, (label, text)) in all.enumerate() {
            self.text.push(if number == 0 { '{' } else { ',' });
            let _ = write!(self.text, "{label}=\"{}\"", escaped(text));
        }
        if self.label.is_some() || !labels.is_empty() {
            self.text.push('}');
        }
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
    fn sources_stand_together_under_their_labels() {
        let mut page = Exposition::prometheus();
        for (source, lag) in [("a", 1.0), ("b\"", 2.0)] {
            page.label("profile", source);
            page.number("walpilot_up", Kind::Gauge, "Up.", 1.0);
            page.family("walpilot_lag_bytes", Kind::Gauge, "Lag.").sample(&[("slot", "s")], lag);
        }
        assert_eq!(
            page.finish(),
            "# HELP walpilot_up Up.\n# TYPE walpilot_up gauge\nwalpilot_up{profile=\"a\"} 1\nwalpilot_up{profile=\"b\\\"\"} 1\n\
             # HELP walpilot_lag_bytes Lag.\n# TYPE walpilot_lag_bytes gauge\n\
             walpilot_lag_bytes{profile=\"a\",slot=\"s\"} 1\nwalpilot_lag_bytes{profile=\"b\\\"\",slot=\"s\"} 2\n# EOF\n"
        );
    }

    #[test]
    fn both_formats_name_counters_as_their_readers_expect() {
        let page = |mut page: Exposition| {
            page.number("walpilot_samples", Kind::Counter, "Samples.", 3.0);
            page.number("walpilot_lag_bytes", Kind::Gauge, "Lag.", None);
            page.family("walpilot_spilled_bytes", Kind::Counter, "Spilled.").sample(&[], None);
            page.finish()
        };
        assert_eq!(
            page(Exposition::prometheus()),
            "# HELP walpilot_samples_total Samples.\n# TYPE walpilot_samples_total counter\nwalpilot_samples_total 3\n\
             # HELP walpilot_lag_bytes Lag.\n# TYPE walpilot_lag_bytes gauge\nwalpilot_lag_bytes NaN\n\
             # HELP walpilot_spilled_bytes_total Spilled.\n# TYPE walpilot_spilled_bytes_total counter\n# EOF\n"
        );
        assert_eq!(
            page(Exposition::open_metrics()),
            "# HELP walpilot_samples Samples.\n# TYPE walpilot_samples counter\nwalpilot_samples_total 3\n\
             # HELP walpilot_lag_bytes Lag.\n# TYPE walpilot_lag_bytes gauge\n# UNIT walpilot_lag_bytes bytes\n\
             walpilot_lag_bytes NaN\n# HELP walpilot_spilled_bytes Spilled.\n# TYPE walpilot_spilled_bytes counter\n\
             # UNIT walpilot_spilled_bytes bytes\n# EOF\n"
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
