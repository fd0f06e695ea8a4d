//! Several hosts: in which order they are tried, after which failures the next one is, and which server will do
//! (PostgreSQL documentation, "Specifying Multiple Hosts"; `PQconnectPoll` in `fe-connect.c`).
//!
//! Every host gets the whole `connect_timeout`, as in libpq, so the whole takes at most that for each host, and for
//! `prefer-standby` twice that. Of one name's addresses each is tried within the host's limit.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::cause::Failure;
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

/// Connects to the first host that will do. `connect` tries one host; `ask` is asked about a server only where that
/// matters.
///
/// # Errors
/// The failure of the only host, or of the last one tried with a message that tells about each.
pub async fn first_suitable<T>(
    settings: &Settings,
    connect: impl AsyncFn(&Settings) -> Result<T, Failure>,
    ask: impl AsyncFn(&T) -> Result<ServerState, Failure>,
) -> Result<T, Failure> {
    let order = each(settings, RandomState::new().build_hasher().finish());
    let passes: &[TargetSession] = match settings.target_session {
        TargetSession::PreferStandby => &[TargetSession::PreferStandby, TargetSession::Any],
        ref only => std::slice::from_ref(only),
    };
    let mut failures = Vec::new();
    for target in passes {
        failures.clear();
        for one in &order {
            let failure = match suitable(one, *target, &connect, &ask).await {
                Ok(connected) => return Ok(connected),
                Err(failure) => with_source_of_password(failure, one),
            };
            let stop = !next_may_help(failure.class) && failure.class != Class::TargetSessionMismatch;
            failures.push((one, failure));
            if stop {
                return Err(together(failures));
            }
        }
    }
    Err(together(failures))
}

async fn suitable<T>(
    one: &Settings,
    target: TargetSession,
    connect: &impl AsyncFn(&Settings) -> Result<T, Failure>,
    ask: &impl AsyncFn(&T) -> Result<ServerState, Failure>,
) -> Result<T, Failure> {
    let connected = connect(one).await?;
    if target == TargetSession::Any {
        return Ok(connected);
    }
    let state = ask(&connected).await?;
    let Some(why) = mismatch(target, state) else { return Ok(connected) };
    let explained = Explained::new(
        Class::TargetSessionMismatch,
        format!("The server at {} will not do for target_session_attrs={}: {why}.", place(one), target.name()),
        "Name the right server, or several of which one is right.",
    );
    Err(Failure::explain(&super::cause::Trouble::Explained(explained), one))
}

fn place(one: &Settings) -> String {
    format!("{}:{}", printable(one.place()), one.port)
}

/// libpq says where a refused password came from, because an old line in a forgotten file is a common cause.
fn with_source_of_password(mut failure: Failure, one: &Settings) -> Failure {
    if failure.sqlstate.as_deref() == Some("28P01")
        && one.password.is_some()
        && let Some(file) = &one.password_file
    {
        failure.message.push_str(&format!(" It came from the password file {}.", printable(&file.to_string_lossy())));
    }
    failure
}

/// One failure that tells about all hosts; its class and remedy are those of the last.
fn together(mut failures: Vec<(&Settings, Failure)>) -> Failure {
    let Some((_, mut last)) = failures.pop() else {
        let explained = Explained::new(Class::ConfigError, "No host is given.", "Name one.");
        return Failure::explain(&super::cause::Trouble::Explained(explained), &Settings::default());
    };
    if !failures.is_empty() {
        let mut message = String::new();
        let mut tries = Vec::new();
        for (_, failure) in failures {
            message.push_str(&failure.message);
            message.push(' ');
            tries.extend(failure.tries);
        }
        message.push_str(&last.message);
        last.message = message;
        tries.append(&mut last.tries);
        last.tries = tries;
    }
    last
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{ServerState, each, first_suitable, mismatch};
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

    /// Runs over hosts whose names say what they are; returns the one that was taken, and all that were tried.
    fn run(text: &str) -> (Result<String, Class>, String) {
        let tried = Mutex::new(Vec::new());
        let connect = async |one: &Settings| {
            tried.lock().unwrap().push(one.host.clone());
            let class = match one.host.as_str() {
                "dead" => Class::Refused,
                "starting" => Class::CannotConnectNow,
                "no" => Class::PasswordWrong,
                _ => return Ok(one.host.clone()),
            };
            Err(Failure::explain(&Trouble::Explained(Explained::new(class, "x.", "y.")), one))
        };
        let ask = async |host: &String| Ok(if host == "standby" { STANDBY } else { PRIMARY });
        let settings = hosts(text);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(first_suitable(&settings, connect, ask)).map_err(|failure| failure.class);
        (result, tried.into_inner().unwrap().join(" "))
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
            assert_eq!(run(text), (taken.map(str::to_owned), tried.to_owned()), "{text}");
        }
    }
}
