//! A recording: samples as lines of JSON, to look at later on the same screens.
//!
//! The first line says what was watched. Every other line is one try: a sample, or why there was none. A sample is
//! written as what changed since the one before (a JSON merge patch, RFC 7396, with the slots by name), and whole now
//! and then, so that an hour of a quiet server is small and a recording that was cut off can be read to the cut.
//!
//! There is no password in it, but there are names of hosts, roles and tables, and the beginnings of statements.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::moment::Moment;
use super::sample::Sample;

/// The version of the layout; it grows when an older reader would misread a newer file.
const FORMAT: u32 = 1;
/// A sample is written whole at least each so many.
const WHOLE_EVERY: usize = 150;

/// What was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the layout.
    pub walpilot_recording: u32,
    /// The source, without secrets.
    pub source: String,
    /// The destination, without secrets.
    pub destination: Option<String>,
    /// The slot of most interest.
    pub slot: Option<String>,
    /// The publication.
    pub publication: Option<String>,
}

/// One try to look.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When it ended, on the clock of the machine that recorded.
    pub heard: Moment,
    /// The sample, or one sentence that says why there is none.
    pub outcome: Result<Box<Sample>, String>,
}

/// A line after the first.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    heard: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    whole: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Turns samples into lines.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    last: Option<Value>,
    since_whole: usize,
}

/// Turns lines into samples.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    last: Value,
}

impl Header {
    /// The header of a recording of `target`.
    #[must_use]
    pub fn of(target: &super::Target) -> Self {
        Self {
            walpilot_recording: FORMAT,
            source: target.source.to_string(),
            destination: target.destination.as_ref().map(ToString::to_string),
            slot: target.slot.clone(),
            publication: target.publication.clone(),
        }
    }

    /// The first line, without its end.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// One sentence when it is no recording, or one of a newer walpilot.
    pub fn read(line: &str) -> Result<Self, String> {
        let header: Self =
            serde_json::from_str(line).map_err(|_| "it is no recording of walpilot record".to_owned())?;
        if header.walpilot_recording > FORMAT {
            return Err("it was recorded by a newer walpilot; use that one to replay it".to_owned());
        }
        Ok(header)
    }
}

impl Writer {
    /// The line of one try, without its end.
    ///
    /// # Errors
    /// When the sample can't be written as JSON, which would be a defect.
    pub fn line(&mut self, heard: Moment, outcome: &Result<Sample, String>) -> Result<String, String> {
        let mut line = Line { heard, whole: None, changed: None, failed: None };
        match outcome {
            Err(reason) => line.failed = Some(reason.clone()),
            Ok(sample) => {
                let now = by_name(serde_json::to_value(sample).map_err(|error| error.to_string())?);
                match &self.last {
                    Some(last) if self.since_whole < WHOLE_EVERY => {
                        line.changed = Some(difference(last, &now));
                        self.since_whole += 1;
                    }
                    _ => {
                        line.whole = Some(now.clone());
                        self.since_whole = 0;
                    }
                }
                self.last = Some(now);
            }
        }
        serde_json::to_string(&line).map_err(|error| error.to_string())
    }
}

impl Reader {
    /// Reads a line after the first.
    ///
    /// # Errors
    /// One sentence when it can't be understood: the last line of a recording that was cut off, or a damaged file.
    pub fn read(&mut self, line: &str) -> Result<Record, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        if let Some(reason) = line.failed {
            return Ok(Record { heard: line.heard, outcome: Err(reason) });
        }
        match (line.whole, line.changed) {
            (Some(whole), _) => self.last = whole,
            (None, Some(changed)) => apply(&mut self.last, changed),
            (None, None) => return Err("there is no sample in it".to_owned()),
        }
        let sample = serde_json::from_value(in_order(self.last.clone())).map_err(|error| error.to_string())?;
        Ok(Record { heard: line.heard, outcome: Ok(Box::new(sample)) })
    }
}

/// The slots as an object by name instead of a list, so that one that changes does not repeat the others.
fn by_name(mut sample: Value) -> Value {
    if let Some(slots) = sample.get_mut("slots")
        && let Value::Array(list) = slots
    {
        let named = std::mem::take(list).into_iter().map(|slot| {
            let name = slot.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            (name, slot)
        });
        *slots = Value::Object(named.collect());
    }
    sample
}

/// The other way round; slots are in the order of their names, as in every sample.
fn in_order(mut sample: Value) -> Value {
    if let Some(slots) = sample.get_mut("slots")
        && let Value::Object(named) = slots
    {
        let mut list: Vec<(String, Value)> = std::mem::take(named).into_iter().collect();
        list.sort_by(|(a, _), (b, _)| a.cmp(b));
        *slots = Value::Array(list.into_iter().map(|(_, slot)| slot).collect());
    }
    sample
}

/// What turns `old` into `new`. A null stands for "not there any more", which is what a missing field reads as.
fn difference(old: &Value, new: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            Some(was) if was == value => {}
            Some(was) => {
                patch.insert(key.clone(), difference(was, value));
            }
            None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

fn apply(to: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *to = patch;
        return;
    };
    if !to.is_object() {
        *to = Value::Object(Map::new());
    }
    let Value::Object(to) = to else { return };
    for (key, value) in patch {
        if value.is_null() {
            to.remove(&key);
        } else {
            apply(to.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Lsn;
    use crate::monitor::slot::{Consumer, Slot};

    fn sample(number: u64) -> Sample {
        let slot = |name: &str, reached| Slot {
            name: name.to_owned(),
            confirmed_flush_lsn: Some(Lsn(reached)),
            consumer: (number % 2 == 0).then(|| Consumer { pid: 7, ..Consumer::default() }),
            ..Slot::default()
        };
        let mut slots = vec![slot("a", number), slot("b", 1)];
        slots.retain(|slot| slot.name != "b" || number % 3 != 0);
        Sample {
            at: Moment(1_795_337_532_524_259).plus(std::time::Duration::from_micros(number * 777_777)),
            lsn: Some(Lsn(1000 + number)),
            slots,
            ..Sample::default()
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_the_microsecond() {
        let (mut writer, mut reader) = (Writer::default(), Reader::default());
        for number in 0..400 {
            let (heard, sample) = (Moment(number.cast_signed()), sample(number));
            let line = writer.line(heard, &Ok(sample.clone())).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(reader.read(&line).unwrap(), Record { heard, outcome: Ok(Box::new(sample)) }, "{line}");
            if number % 7 == 0 {
                let lost = writer.line(heard, &Err("The connection was lost.".to_owned())).unwrap();
                assert!(reader.read(&lost).unwrap().outcome.is_err());
            }
        }
    }

    #[test]
    fn other_files_are_refused_in_words() {
        assert!(Header::read("{}").is_err() && Header::read("PGDMP").is_err());
        let newer = r#"{"walpilot_recording":99,"source":"s"}"#;
        assert!(Header::read(newer).unwrap_err().contains("newer"));
        let mut reader = Reader::default();
        for bad in
            ["", "{", "{}", r#"{"heard":"2026-11-22T00:00:00Z"}"#, r#"{"heard":"2026-11-22T00:00:00Z","whole":7}"#]
        {
            assert!(reader.read(bad).is_err(), "{bad}");
        }
    }
}
