//! The program that a profile names to get its password from: a password manager, or a cloud's token.
//!
//! It is run without a shell and without a terminal, gets no PG* variable, has ten seconds, and is only run if nobody
//! else could have put another program in its place.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::connection::{Secret, printable};

/// How long the program may take.
pub const LIMIT: Duration = Duration::from_secs(10);
/// How much of its output is read.
const MOST: u64 = 64 * 1024;

/// Why the program gave no password; one sentence with the next step. Its output never stands in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CommandError(String);

/// The program and its arguments as people write them in one line. Quotes keep blanks together; nothing is expanded,
/// because no shell reads it.
///
/// # Errors
/// What is wrong, as the end of a sentence without its full stop.
pub fn words(line: &str) -> Result<Vec<String>, CommandError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    let unended = || CommandError("A quote has no end".to_owned());
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next().ok_or_else(unended)? {
                        end if end == c => break,
                        '\\' if c == '"' => word.push(chars.next().ok_or_else(unended)?),
                        other => word.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            blank if blank.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    match words.first() {
        Some(program) if program.starts_with('/') => Ok(words),
        _ => Err(CommandError("The password command begins with the absolute path of a program".to_owned())),
    }
}

/// The other way round: one line that [`words`] reads as `command`.
#[must_use]
pub fn line(command: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-:=@%+,".contains(c);
    let quoted = |word: &String| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
        }
    };
    command.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// Runs the program and returns the first line of its output.
///
/// # Errors
/// When it may not or can't be run, fails, takes too long, or prints nothing.
pub async fn run(command: &[String]) -> Result<Secret, CommandError> {
    run_within(command, LIMIT).await
}

async fn run_within(command: &[String], limit: Duration) -> Result<Secret, CommandError> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| CommandError("The password command is empty.".to_owned()))?;
    let shown = printable(program).into_owned();
    trusted(Path::new(program))
        .map_err(|why| CommandError(format!("The password command {shown} was not run: {why}.")))?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(&name);
        }
    }
    command.kill_on_drop(true).process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| CommandError(format!("The password command {shown} can't be started: {error}.")))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let work = async { tokio::join!(all_of(output), all_of(errors), child.wait()) };
    let Ok((output, errors, status)) = tokio::time::timeout(limit, work).await else {
        if let Some(group) = group {
            // Also what it started; it may have ended a moment ago.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let message = format!("The password command {shown} did not end within {} s.", limit.as_secs());
        return Err(CommandError(format!("{message} Try it in a terminal: it must not ask anything.")));
    };
    let errors = String::from_utf8_lossy(&errors);
    let last: String =
        errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().chars().take(300).collect();
    let said = if last.is_empty() { String::new() } else { format!(" It said: {}", printable(last.trim())) };
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(CommandError(format!("The password command {shown} failed ({status}).{said}"))),
        Err(error) => return Err(CommandError(format!("The password command {shown} can't be waited for: {error}."))),
    }
    let text = std::str::from_utf8(&output)
        .map_err(|_| CommandError(format!("The password command {shown} printed something that is not UTF-8.")))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(CommandError(format!("The password command {shown} printed no password.{said}"))),
    }
}

/// Whether only this account and root could have made `program` what it is.
fn trusted(program: &Path) -> Result<(), &'static str> {
    if !program.is_absolute() {
        return Err("it must be named by its absolute path");
    }
    let found = std::fs::metadata(program).map_err(|_| "there is no such file")?;
    if !found.is_file() {
        return Err("it is no plain file");
    }
    if found.uid() != 0 && found.uid() != rustix::process::geteuid().as_raw() {
        return Err("it belongs to somebody else");
    }
    if found.permissions().mode() & 0o022 != 0 {
        return Err("group or others may change it");
    }
    Ok(())
}

async fn all_of(stream: Option<impl AsyncRead + Unpin>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    if let Some(stream) = stream {
        // What came before an error is all there is.
        let _ = stream.take(MOST).read_to_end(&mut bytes).await;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::{line, run, run_within, words};

    /// A shell script with these rights, as a password manager may be one.
    fn script(dir: &tempfile::TempDir, text: &str, mode: u32) -> Vec<String> {
        let path = dir.path().join("script");
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        vec![path.display().to_string(), "an argument; $(touch x)".to_owned()]
    }

    #[test]
    fn a_line_is_split_into_words_and_back() {
        for command in [&["/bin/x"][..], &["/bin/x", "", "a b", "it's", "\"q\"", "\\", "$(touch x)", "é"]] {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            assert_eq!(words(&line(&command)), Ok(command));
        }
        assert_eq!(words("  /bin/x  'a b'c\\ d ").unwrap(), ["/bin/x", "a bc d"]);
        for bad in ["", "pass", "/bin/x 'open", "/bin/x \"open\\"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn the_first_line_is_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let it = run(&script(&dir, "echo \"pass:$1\"; echo user; echo noise >&2", 0o700)).await.unwrap();
        assert_eq!(it.reveal(), "pass:an argument; $(touch x)");
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_told_without_the_output() {
        let dir = tempfile::tempdir().unwrap();
        for (text, mode, part) in [
            ("echo S3NT1NEL; echo locked >&2; exit 3", 0o700, "locked"),
            (":", 0o700, "no password"),
            ("printf 'S3NT1NEL\\377\\n'", 0o700, "UTF-8"),
            ("echo S3NT1NEL", 0o722, "change"),
            ("echo S3NT1NEL", 0o600, "started"),
            ("read line || echo; echo S3NT1NEL", 0o700, "no password"),
        ] {
            let error = run(&script(&dir, text, mode)).await.expect_err(text).to_string();
            assert!(error.contains(part) && !error.contains("S3NT1NEL"), "{text}: {error}");
        }
        for program in ["script", "./script", "sh", "/nonexistent/program", "/tmp"] {
            assert!(run(&[program.to_owned()]).await.is_err(), "{program}");
        }
    }

    #[tokio::test]
    async fn a_program_that_does_not_end_is_ended_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let text = format!("sleep 600 & echo $! >{}; wait", pid.display());
        let error = run_within(&script(&dir, &text, 0o700), Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("did not end"), "{error}");
        let child = fs::read_to_string(pid).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        // Killed: gone, or a zombie until init looks.
        while !state().is_empty() && !state().contains(") Z ") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
