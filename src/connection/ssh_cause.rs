//! What `ssh` said on its standard error, told apart (measured with OpenSSH 9.2; the texts are not translated).

use super::class::{Class, Explained};
use super::printable;
use super::settings::Tunnel;

/// How an ssh client ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    /// What it wrote to its standard error.
    pub(super) said: &'a str,
    /// Its exit code; 255 is an error of ssh's own.
    pub(super) code: Option<i32>,
    /// Whether a byte of the server came through.
    pub(super) had_worked: bool,
    /// Whether it could ask somebody.
    pub(super) asks: bool,
}

/// Why the tunnel ended; `None` if ssh ended because the other side closed the connection.
///
/// The order matters: a changed key also fails the verification, and the bastion's report about the database also
/// speaks of a refused connection.
pub(super) fn explain(ended: Ended<'_>, tunnel: &Tunnel, server: &str) -> Option<Explained> {
    let said = ended.said;
    let has = |text: &str| said.contains(text);
    let bastion = printable(&tunnel.destination);
    let server = printable(server);
    let by_hand = by_hand(tunnel);
    let explained = if has("HOST IDENTIFICATION HAS CHANGED") {
        Explained::new(
            Class::SshHostKeyChanged,
            format!("The host key of the bastion {bastion} is not the one that is known: somebody may be in between."),
            "Ask its administrator whether the key was changed; only then remove the old one with ssh-keygen -R.",
        )
    } else if has("REVOKED HOST KEY") {
        Explained::new(
            Class::SshHostKeyRevoked,
            format!("The host key of the bastion {bastion} is marked as revoked."),
            "Do not connect; ask its administrator for the new key.",
        )
    } else if has("host key is known for") || has("Host key verification failed") {
        Explained::new(
            Class::SshHostKeyUnknown,
            format!("The host key of the bastion {bastion} is not known here."),
            if ended.asks {
                "Try again, compare the fingerprint with its administrator's, and answer yes.".to_owned()
            } else {
                format!(
                    "Run {by_hand} once in a terminal, compare the fingerprint with its administrator's, and accept it."
                )
            },
        )
    } else if has("administratively prohibited") {
        Explained::new(
            Class::SshForwardingForbidden,
            format!("The bastion {bastion} does not allow forwarding to {server}."),
            "Let its administrator allow it: AllowTcpForwarding and PermitOpen in sshd_config.",
        )
    } else if has("open failed") || has("stdio forwarding failed") {
        Explained::new(
            Class::SshDbUnreachable,
            format!("The bastion {bastion} was reached, but it can't reach {server}: {}.", last_line(said)),
            "Check the database's host and port as the bastion sees them, and the firewall between the two.",
        )
    } else if has("Permission denied") || has("Too many authentication failures") {
        Explained::new(
            Class::SshAuthFailed,
            format!("The bastion {bastion} refused the login."),
            if ended.asks {
                format!("Check user, key and passphrase with {by_hand}.")
            } else {
                format!("Check user and key with {by_hand}; unlock a key that has a passphrase with ssh-add first.")
            },
        )
    } else if has("Could not resolve hostname") {
        Explained::new(
            Class::SshDns,
            format!("The name of the bastion {bastion} was not found."),
            "Check its spelling and your ssh configuration, or whether it needs a VPN.",
        )
    } else if has("banner exchange") || has("timed out") || has("Timeout, server") {
        Explained::new(
            Class::SshTimeout,
            format!("The bastion {bastion} gave no answer in time."),
            "A firewall may drop the packets: let it allow this machine's address.",
        )
    } else if has("Connection refused") {
        Explained::new(
            Class::SshRefused,
            format!("Nothing listens for ssh at the bastion {bastion}."),
            "Check its address and port.",
        )
    } else if has("contains invalid characters") || has("Bad configuration option") || has("Can't open user config") {
        Explained::new(
            Class::ConfigError,
            format!("ssh can't use what was given for the bastion {bastion}: {}.", last_line(said)),
            "Check the bastion's name and your ssh configuration.",
        )
    } else if ended.code == Some(0) || (ended.had_worked && said.trim().is_empty()) {
        return None;
    } else {
        let why = if said.trim().is_empty() { "it gave no reason".to_owned() } else { last_line(said) };
        Explained::new(
            Class::SshFailed,
            format!("The tunnel through {bastion} ended: {why}."),
            format!("Try {by_hand} in a terminal."),
        )
    };
    Some(explained)
}

/// The last line that says something, safe to show and without its full stop.
fn last_line(said: &str) -> String {
    let line = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    let short: String = line.trim_end_matches('.').chars().take(300).collect();
    printable(&short).into_owned()
}

/// The command that a user can try.
fn by_hand(tunnel: &Tunnel) -> String {
    let port = tunnel.port.map_or_else(String::new, |port| format!("-p {port} "));
    format!("\"ssh {port}{}\"", printable(&tunnel.destination))
}

#[cfg(test)]
mod tests {
    use super::{Ended, explain};
    use crate::connection::class::Class;
    use crate::connection::settings::Tunnel;

    #[test]
    fn what_ssh_says_has_its_class() {
        let tunnel = Tunnel { destination: "me@bastion".into(), port: Some(2222), ..Tunnel::default() };
        for (said, class) in [
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                Class::SshHostKeyChanged,
            ),
            ("@ WARNING: REVOKED HOST KEY DETECTED! @\nHost key verification failed.", Class::SshHostKeyRevoked),
            (
                "No ED25519 host key is known for [b]:2222 and you have requested strict checking.\nHost key verification failed.",
                Class::SshHostKeyUnknown,
            ),
            ("me@bastion: Permission denied (publickey).", Class::SshAuthFailed),
            ("ssh: Could not resolve hostname bastion: Name or service not known", Class::SshDns),
            ("ssh: connect to host bastion port 2222: Connection refused", Class::SshRefused),
            ("ssh: connect to host bastion port 2222: Connection timed out", Class::SshTimeout),
            ("Connection timed out during banner exchange", Class::SshTimeout),
            (
                "channel 0: open failed: administratively prohibited: open failed\nstdio forwarding failed",
                Class::SshForwardingForbidden,
            ),
            (
                "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed",
                Class::SshDbUnreachable,
            ),
            (
                "channel 0: open failed: connect failed: Name or service not known\nstdio forwarding failed",
                Class::SshDbUnreachable,
            ),
            ("hostname contains invalid characters", Class::ConfigError),
            ("something new", Class::SshFailed),
        ] {
            let it = explain(Ended { said, code: Some(255), had_worked: false, asks: false }, &tunnel, "db:5432")
                .expect(said);
            assert_eq!(it.class, class, "{said}");
            assert!(it.message.contains("bastion") && it.message.ends_with('.'), "{it:?}");
        }
    }

    #[test]
    fn a_server_that_hangs_up_is_no_failure_of_the_tunnel() {
        let tunnel = Tunnel { destination: "bastion".into(), ..Tunnel::default() };
        assert!(
            explain(Ended { said: "", code: Some(0), had_worked: true, asks: false }, &tunnel, "db:5432").is_none()
        );
        let silent = explain(Ended { said: "", code: Some(255), had_worked: false, asks: false }, &tunnel, "db:5432");
        assert_eq!(silent.map(|it| it.class), Some(Class::SshFailed));
    }
}
