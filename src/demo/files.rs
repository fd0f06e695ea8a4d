//! The files of throwaway clusters: private directories, configuration, random secrets, the end of a log.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::account::{Account, temporary};
use super::binaries::Binaries;
use super::error::ClusterError;
use super::keeper::{Answer, Keeper};
use crate::connection::{Secret, printable};

/// A new private directory (mode 0700), made by the keeper that will remove it: so there is no moment at which a
/// directory could be left behind.
pub(super) async fn kept_directory(
    binaries: &Binaries,
    template: Option<&Path>,
    account: Account,
) -> std::io::Result<(PathBuf, Keeper)> {
    let parent = temporary(account);
    let dir = parent.join(format!("walpilot-{}", name()?));
    let mut keeper = Keeper::spawn(&dir, &binaries.dir, template, account)?;
    match keeper.answer().await {
        Some(Answer::Finished(0)) => Ok((dir, keeper)),
        _ => Err(std::io::Error::other(format!("no directory can be made in {}", parent.display()))),
    }
}

/// Six letters and digits that nobody can guess.
fn name() -> std::io::Result<String> {
    let mut rest = random()?;
    let mut name = String::new();
    for _ in 0..6 {
        name.push(char::from_digit(rest % 36, 36).unwrap_or('0'));
        rest /= 36;
    }
    Ok(name)
}

/// Lets the keeper run one of its programs to the end.
pub(super) async fn make(keeper: &mut Keeper, order: &str, dir: &Path) -> Result<(), ClusterError> {
    let failed = || ClusterError::Made { program: order.to_owned(), log: last_lines(dir) };
    keeper.order(order).map_err(|_| failed())?;
    match keeper.answer().await {
        Some(Answer::Finished(0)) => Ok(()),
        _ => Err(failed()),
    }
}

/// Writes a file that only `account` may read (mode 0600), replacing one that is there.
pub(super) fn write(path: &Path, text: &str, account: Account) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    account.own(path)
}

/// A password that nobody can guess: 192 bits from the system, in hexadecimal.
pub(super) fn random_password() -> std::io::Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0_u8; 24]);
    fs::File::open("/dev/urandom")?.read_exact(bytes.as_mut())?;
    let mut text = String::with_capacity(48);
    for byte in bytes.iter() {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
    }
    Ok(Secret::new(text))
}

/// A random number.
pub(super) fn random() -> std::io::Result<u32> {
    let mut bytes = [0_u8; 4];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

/// The end of the log in a cluster's directory, in one line and safe to show.
pub(super) fn last_lines(dir: &Path) -> String {
    let bytes = fs::read(dir.join("log")).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let end = lines[lines.len().saturating_sub(8)..].join(" | ");
    if end.is_empty() { "(nothing)".to_owned() } else { printable(&end).into_owned() }
}
