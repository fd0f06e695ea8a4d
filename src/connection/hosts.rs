//! Several hosts: in which order they are tried, after which failures the next one is, and which server will do
//! (PostgreSQL documentation, "Specifying Multiple Hosts"; `PQconnectPoll` in `fe-connect.c`).
//!
//! Every host gets the whole `connect_timeout`, as in libpq, so the whole takes at most that for each host, and for
//! `prefer-standby` twice that. Of one name's addresses each is tried within the host's limit.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::cause::{Failure, Trouble};
use super::class::{Class, Explained};
use super::printable;
use super::settings::{Settings, TargetSession};

/// What a server says about itself for `target_session_attrs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerState {
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// `default_transaction_read_only` as it is for a new session of this role.
    pub read_only: bool,
}

/// How [`ServerState`] is asked for. The session's own setting is walpilot's; `reset_val` is what it began with.
pub const STATE_SQL: &str = "SELECT pg_catalog.pg_is_in_recovery(), \
     (SELECT reset_val OPERATOR(pg_catalog.=) 'on' FROM pg_catalog.pg_settings \
      WHERE name OPERATOR(pg_catalog.=) 'default_transaction_read_only')";

/// The settings for each host on its own, in the order in which they are to be tried. `random` decides about the
/// order where that is asked for.
#[must_use]
pub fn each(settings: &Settings, random: u64) -> Vec<Settings> {
    let first = Settings { alternatives: Vec::new(), ..settings.clone() };
    let others = settings.alternatives.iter().map(|other| Settings {
        host: other.host.clone(),
        hostaddr: other.hostaddr.clone(),
        port: other.port,
        // A password from a file is for one server only; any other is for all.
        password: if settings.password_file.is_some() { other.password.clone() } else { settings.password.clone() },
        ..first.clone()
    });
    let mut all: Vec<Settings> = std::iter::once(first.clone()).chain(others).collect();
    if settings.load_balance {
        shuffle(&mut all, random);
    }
    all
}

/// Fisher and Yates, fed by a small generator (xorshift): this is to spread load, not to keep secrets.
fn shuffle<T>(all: &mut [T], random: u64) {
    let mut state = random | 1;
    for last in (1..all.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let at = usize::try_from(state % (last as u64 + 1)).unwrap_or(0);
        all.swap(last, at);
    }
}

/// Whether the next host is tried after this failure. Measured: libpq goes on where no server answered or the server
/// takes no connections now; where a server said no, it stays with that.
#[must_use]
pub fn next_may_help(class: Class) -> bool {
    matches!(
        class,
        Class::DnsFailure
            | Class::Refused
            | Class::Unreachable
            | Class::Timeout
            | Class::SocketMissing
            | Class::SocketPermission
            | Class::CannotConnectNow
            // Seen from a bastion, the same.
            | Class::SshDbUnreachable
    )
}

/// Why a server will not do, if it will not.
#[must_use]
pub fn mismatch(target: TargetSession, state: ServerState) -> Option<&'static str> {
    use TargetSession as Target;
    match target {
        Target::ReadWrite if state.in_recovery || state.read_only => Some("its sessions are read-only"),
        Target::ReadOnly if !state.in_recovery && !state.read_only => Some("its sessions are not read-only"),
        Target::Primary if state.in_recovery => Some("it is a standby"),
        Target::Standby | Target::PreferStandby if !state.in_recovery => Some("it is not a standby"),
        _ => None,
    }
}

/// The failure of a server that was reached and will not do, if it will not.
#[must_use]
pub fn unsuitable(one: &Settings, target: TargetSession, state: ServerState) -> Option<Failure> {
    let why = mismatch(target, state)?;
    let explained = Explained::new(
        Class::TargetSessionMismatch,
        format!("The server at {} will not do for target_session_attrs={}: {why}.", place(one), target.name()),
        "Name the right server, or several of which one is right.",
    );
    Some(Failure::explain(&Trouble::Explained(explained), one))
}

/// The way through a list of hosts: which is next, and what to tell when none was right.
pub struct Walk {
    order: Vec<Settings>,
    /// What kind of server will do, pass by pass: `prefer-standby` takes any in its second.
    passes: Vec<TargetSession>,
    at: usize,
    failures: Vec<Failure>,
}

impl Walk {
    /// Begins a walk over the hosts of `settings`.
    #[must_use]
    pub fn over(settings: &Settings) -> Self {
        let passes = match settings.target_session {
            TargetSession::PreferStandby => vec![TargetSession::PreferStandby, TargetSession::Any],
            only => vec![only],
        };
        let order = each(settings, RandomState::new().build_hasher().finish());
        Self { order, passes, at: 0, failures: Vec::new() }
    }

    /// The host to try now, and what kind of server it must be; none after the last.
    #[must_use]
    pub fn current(&self) -> Option<(&Settings, TargetSession)> {
        let target = self.passes.get(self.at / self.order.len())?;
        Some((&self.order[self.at % self.order.len()], *target))
    }

    /// Notes that the current host failed, and goes on to the next if that may help.
    pub fn failed(&mut self, failure: Failure) {
        let Some((one, _)) = self.current() else { return };
        let failure = with_source_of_password(failure, one);
        let goes_on = next_may_help(failure.class) || failure.class == Class::TargetSessionMismatch;
        if self.at.is_multiple_of(self.order.len()) {
            // What an earlier pass found is found again.
            self.failures.clear();
        }
        self.failures.push(failure);
        self.at = if goes_on { self.at + 1 } else { usize::MAX };
    }

    /// One failure that tells about all hosts; its class and remedy are those of the last.
    #[must_use]
    pub fn failure(mut self) -> Failure {
        let Some(mut last) = self.failures.pop() else {
            let explained = Explained::new(Class::ConfigError, "No host was tried.", "Name one.");
            return Failure::explain(&Trouble::Explained(explained), &self.order[0]);
        };
        let mut tries = Vec::new();
        let mut message = String::new();
        for failure in self.failures {
            message.push_str(&failure.message);
            message.push(' ');
            tries.extend(failure.tries);
        }
        message.push_str(&last.message);
        tries.append(&mut last.tries);
        Failure { message, tries, ..last }
    }
}

fn place(one: &Settings) -> String {
    format!("{}:{}", printable(one.place()), one.port)
}

/// libpq says where a refused password came from, because an old line in a forgotten file is a common cause.
pub(super) fn with_source_of_password(mut failure: Failure, one: &Settings) -> Failure {
    if failure.sqlstate.as_deref() == Some("28P01")
        && one.password.is_some()
        && let Some(file) = &one.password_file
    {
        failure.message.push_str(&format!(" It came from the password file {}.", printable(&file.to_string_lossy())));
    }
    failure
}

#[cfg(test)]
mod tests {
    use super::{ServerState, Walk, each, mismatch, unsuitable};
    use crate::connection::cause::{Failure, Trouble};
    use crate::connection::class::{Class, Explained};
    use crate::connection::settings::TargetSession as Target;
    use crate::connection::{Secret, Settings, uri};

    const PRIMARY: ServerState = ServerState { in_recovery: false, read_only: false };
    const STANDBY: ServerState = ServerState { in_recovery: true, read_only: false };
    const FROZEN: ServerState = ServerState { in_recovery: false, read_only: true };

    fn hosts(text: &str) -> Settings {
        uri::parse(text, &Settings::default()).unwrap()
    }

    #[test]
    fn each_target_has_its_servers() {
        for (target, primary, standby, frozen) in [
            (Target::Any, true, true, true),
            (Target::ReadWrite, true, false, false),
            (Target::ReadOnly, false, true, true),
            (Target::Primary, true, false, true),
            (Target::Standby, false, true, false),
            (Target::PreferStandby, false, true, false),
        ] {
            let will_do = [PRIMARY, STANDBY, FROZEN].map(|state| mismatch(target, state).is_none());
            assert_eq!(will_do, [primary, standby, frozen], "{target:?}");
        }
    }

    #[test]
    fn every_host_keeps_its_own_password() {
        let mut settings = hosts("host=a,b password=for-all");
        let passwords = |settings: &Settings| -> Vec<Option<String>> {
            each(settings, 1).iter().map(|one| one.password.as_ref().map(|it| it.reveal().to_owned())).collect()
        };
        assert_eq!(passwords(&settings), [Some("for-all".into()), Some("for-all".into())]);
        settings.password_file = Some("/pass".into());
        settings.alternatives[0].password = Some(Secret::new("for-b"));
        assert_eq!(passwords(&settings), [Some("for-all".into()), Some("for-b".into())]);
    }

    #[test]
    fn a_random_order_has_every_host_once() {
        let settings = hosts("host=a,b,c,d load_balance_hosts=random");
        let orders: std::collections::BTreeSet<Vec<String>> =
            (0..200).map(|seed| each(&settings, seed * 7919).into_iter().map(|one| one.host).collect()).collect();
        assert!(orders.len() > 12, "{}", orders.len());
        for order in orders {
            let mut sorted = order.clone();
            sorted.sort();
            assert_eq!(sorted, ["a", "b", "c", "d"], "{order:?}");
        }
    }

    /// Walks over hosts whose names say what they are; returns the one that was taken, and all that were tried.
    fn walk(text: &str) -> (Result<String, Class>, String) {
        let mut walk = Walk::over(&hosts(text));
        let mut tried = Vec::new();
        while let Some((one, target)) = walk.current() {
            tried.push(one.host.clone());
            let failed = |class| {
                Some(Failure::explain(&Trouble::Explained(Explained::new(class, "x.", "y.")), &Settings::default()))
            };
            let failure = match one.host.as_str() {
                "dead" => failed(Class::Refused),
                "starting" => failed(Class::CannotConnectNow),
                "no" => failed(Class::PasswordWrong),
                host => unsuitable(one, target, if host == "standby" { STANDBY } else { PRIMARY }),
            };
            match failure {
                None => return (Ok(one.host.clone()), tried.join(" ")),
                Some(failure) => walk.failed(failure),
            }
        }
        let failure = walk.failure();
        assert!(failure.message.matches('.').count() >= tried.len().min(2), "{failure}");
        (Err(failure.class), tried.join(" "))
    }

    #[test]
    fn the_next_host_is_tried_when_libpq_would() {
        for (text, taken, tried) in [
            ("host=dead,starting,primary,other", Ok("primary"), "dead starting primary"),
            ("host=no,primary", Err(Class::PasswordWrong), "no"),
            ("host=dead,dead", Err(Class::Refused), "dead dead"),
            ("host=standby,primary target_session_attrs=read-write", Ok("primary"), "standby primary"),
            ("host=primary,standby target_session_attrs=standby", Ok("standby"), "primary standby"),
            ("host=primary target_session_attrs=standby", Err(Class::TargetSessionMismatch), "primary"),
            ("host=primary,standby target_session_attrs=prefer-standby", Ok("standby"), "primary standby"),
            ("host=dead,primary target_session_attrs=prefer-standby", Ok("primary"), "dead primary dead primary"),
        ] {
            assert_eq!(walk(text), (taken.map(str::to_owned), tried.to_owned()), "{text}");
        }
    }
}
