#!/bin/sh
# Installs what building and testing need on Debian and Ubuntu, and nothing when all is there: a C compiler,
# pkg-config and OpenSSL's headers for TLS, and a PostgreSQL server whose programs the throwaway clusters run.
# No system-wide cluster is made or started. The tests of SSH tunnels run an sshd of their own, on a port of the loopback
# address; where its package has to be installed, the system's own ssh service is masked first, so that nothing starts
# to listen (systemctl unmask ssh.service ssh.socket undoes that).
# Usage: tests/install-dependencies.sh [demo]     "demo" leaves out what only the tests need: psql and ssh.
set -eu

has() {
    command -v "$1" >/dev/null 2>&1
}

# The same places as in src/demo/binaries.rs.
has_server() {
    for dir in ${WALPILOT_PG_BIN:+"$WALPILOT_PG_BIN"} $(echo "$PATH" | tr ':' ' ') /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
        /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /Applications/Postgres.app/Contents/Versions/*/bin; do
        if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
            return 0
        fi
    done
    return 1
}

wanted=
has cc || wanted="$wanted gcc libc6-dev"
if [ "$(uname -s)" = Linux ]; then
    has pkg-config || wanted="$wanted pkg-config"
    { has pkg-config && pkg-config --exists openssl; } || wanted="$wanted libssl-dev"
fi
has ps || wanted="$wanted procps"
server=
has_server || server=postgresql
# Only the tests compare with psql, and go through a bastion of their own; who tries the demo needs no sshd.
if [ "${1:-test}" = test ]; then
    has psql || server=postgresql
    { has ssh && has ssh-keygen; } || wanted="$wanted openssh-client"
    [ -x /usr/sbin/sshd ] || has sshd || wanted="$wanted openssh-server"
    # A keyring on a session bus of the tests' own.
    if [ "$(uname -s)" = Linux ]; then
        { has dbus-daemon && has dbus-send; } || wanted="$wanted dbus-daemon dbus-bin"
        has gnome-keyring-daemon || wanted="$wanted gnome-keyring"
    fi
fi
[ -n "$wanted$server" ] || exit 0

if ! has apt-get; then
    echo "These are missing:$wanted $server" >&2
    echo "Install them with your system's package manager (macOS: brew install postgresql@17), then try again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    root=
elif has sudo; then
    root=sudo
else
    echo "These packages are missing, and there is neither sudo nor are you root:$wanted $server" >&2
    echo "Ask an administrator to run: apt-get install$wanted $server" >&2
    exit 1
fi

install() {
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null
}

echo "installing$wanted $server"
$root apt-get update
if [ -n "$wanted" ]; then
    case "$wanted" in
        *openssh-server*) if has systemctl; then $root systemctl mask ssh.service ssh.socket || true; fi ;;
    esac
    # shellcheck disable=SC2086 # a list of packages
    install $wanted
fi
if [ -n "$server" ]; then
    # The package would make and start a cluster "main"; this setting of Debian's keeps it from that for now.
    settings=/etc/postgresql-common/createcluster.conf
    install postgresql-common
    $root sh -c "echo 'create_main_cluster = false # walpilot, for now' >>$settings"
    status=0
    install "$server" || status=$?
    $root sed -i '/# walpilot, for now$/d' $settings
    exit $status
fi
