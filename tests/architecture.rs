//! The house keeps its shape: who imports whom, who may do input and output, and how long a file may be.
//!
//! The rules are `ROOMS` and `IO_FILES` below. When a room needs another shape, change them in the same commit and say
//! why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room with the rooms that it may import. `tui` and `cli` may import everything below them.
const ROOMS: &[(&str, &[&str])] = &[
    ("connection", &[]),
    ("profile", &["connection"]),
    ("catalog", &["connection", "profile"]),
    ("preflight", &["catalog", "profile", "connection"]),
    ("setup", &["preflight", "catalog", "profile", "connection"]),
    ("monitor", &["catalog", "profile", "connection"]),
    ("replication", &["catalog", "profile", "connection"]),
    ("demo", &["connection"]),
    ("tui", &["demo", "replication", "monitor", "setup", "preflight", "catalog", "profile", "connection"]),
    ("cli", &["tui", "demo", "replication", "monitor", "setup", "preflight", "catalog", "profile", "connection"]),
];

/// Files (or folders, with a trailing slash) that may touch the network, the disk, the clock or the terminal.
const IO_FILES: &[&str] = &[
    "main.rs",
    "cli/",
    "connection/askpass.rs",
    "connection/attempt.rs",
    "connection/dial.rs",
    "connection/silence.rs",
    "connection/identity.rs",
    "connection/login.rs",
    "connection/process_group.rs",
    "connection/session.rs",
    "connection/tls.rs",
    "connection/tunnel.rs",
    "profile/keyring.rs",
    "profile/store.rs",
    "profile/password_command.rs",
    "profile/surroundings.rs",
    "catalog/deep.rs",
    "catalog/definition.rs",
    "catalog/gather.rs",
    "catalog/order.rs",
    "setup/apply.rs",
    "setup/files.rs",
    "setup/rehearse.rs",
    "monitor/ask.rs",
    "monitor/act.rs",
    "monitor/count.rs",
    "monitor/memory.rs",
    "monitor/sample.rs",
    "monitor/side.rs",
    "replication/",
    "demo/",
    "tui/files.rs",
    "tui/recorder.rs",
    "tui/runtime.rs",
    "tui/tasks.rs",
    "tui/terminal.rs",
];

/// What only an IO file may name.
const IO_MARKS: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::process",
    "std::thread",
    "tokio::net",
    "tokio::fs",
    "tokio::process",
    "tokio::spawn",
    "tokio::time",
    "tokio::select",
    "Instant::now",
    "SystemTime::now",
    "std::env",
    "std::io::stdin",
    "std::io::stdout",
    ".client.query",
    ".client.execute",
    ".client.batch_execute",
    ".client.simple_query",
];

const MOST_LINES: usize = 500;

#[test]
fn rooms_import_only_what_stands_below_them() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut breaches = Vec::new();
    for file in sources("src") {
        let Some(room) = room_of(&file) else { continue };
        let below = allowed.get(room).unwrap_or_else(|| panic!("{room} is a new room: add it to ROOMS"));
        for import in imports(&code(&file)) {
            if import != room && !below.contains(&import.as_str()) {
                breaches.push(format!("{} imports {import}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn only_the_named_files_do_input_and_output() {
    let mut breaches = Vec::new();
    for file in sources("src") {
        let name = file.strip_prefix("src").expect("below src").to_string_lossy().replace('\\', "/");
        if IO_FILES.iter().any(|allowed| name == *allowed || (allowed.ends_with('/') && name.starts_with(allowed))) {
            continue;
        }
        let code = code(&file);
        for mark in IO_MARKS {
            if code.contains(mark) {
                breaches.push(format!("{} uses {mark}", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn no_circle_runs_between_the_files_of_a_room() {
    // File -> files of the same room that it names; `mod.rs` is the room's door and may name all of them.
    let files = sources("src");
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(file)).collect();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !file.ends_with("mod.rs")) {
        let own = module_of(file);
        let parent = own.rsplit_once("::").map_or("", |(parent, _)| parent).to_owned();
        let code = code(file);
        let uses = modules.iter().filter(|other| {
            let Some((room, name)) = other.rsplit_once("::") else { return false };
            **other != own
                && room == parent
                && (code.contains(&format!("super::{name}::")) || code.contains(&format!("crate::{other}::")))
        });
        graph.insert(own.clone(), uses.cloned().collect());
    }
    for start in graph.keys() {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<&String> = graph[start].iter().collect();
        while let Some(next) = todo.pop() {
            assert_ne!(next, start, "{start} reaches itself through {seen:?}");
            if seen.insert(next.clone()) {
                todo.extend(graph.get(next).into_iter().flatten());
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long: Vec<String> = ["src", "tests", "benches"]
        .into_iter()
        .flat_map(sources)
        .filter_map(|file| {
            let lines = fs::read_to_string(&file).expect("readable").lines().count();
            (lines > MOST_LINES).then(|| format!("{}: {lines} lines", file.display()))
        })
        .collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_room_is_on_the_map() {
    let map = fs::read_to_string("src/lib.rs").expect("src/lib.rs");
    for (room, _) in ROOMS {
        assert!(map.contains(&format!("//! - [`{room}`]:")), "{room} has no line in src/lib.rs");
        assert!(Path::new("src").join(room).join("mod.rs").is_file(), "{room} has no mod.rs");
    }
    let main = fs::read_to_string("src/main.rs").expect("src/main.rs");
    assert!(main.lines().count() < 60, "main.rs is to stay thin");
}

/// All Rust files below a folder of the project.
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn room_of(file: &Path) -> Option<&str> {
    let mut parts = file.strip_prefix("src").ok()?.components();
    let first = parts.next()?.as_os_str().to_str()?;
    parts.next().map(|_| first)
}

/// `replication::walsender` for `src/replication/walsender.rs`; a room's `mod.rs` is the room itself.
fn module_of(file: &Path) -> String {
    let name = file.strip_prefix("src").expect("below src").with_extension("");
    let name = name.to_string_lossy().replace(['/', '\\'], "::");
    name.strip_suffix("::mod").unwrap_or(&name).to_owned()
}

/// The file without its unit tests and without comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("readable");
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

/// The rooms named as `crate::room`, also inside `use crate::{…}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.extend(first_name(rest));
            continue;
        };
        let (mut depth, mut path) = (1, String::new());
        for c in group.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if depth == 0 || (depth == 1 && c == ',') {
                rooms.extend(first_name(path.trim()));
                path.clear();
            } else {
                path.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}
