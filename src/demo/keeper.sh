# Keeps one throwaway cluster: makes its directory, runs its programs as its owner, and cleans up when walpilot is gone.
#
# Standard input is a pipe that only walpilot holds open. It carries one order a line; its end means that walpilot
# dropped the cluster or died, however hard. Then the server is stopped (SIGQUIT, immediate shutdown) and the
# directory removed. Answers go to standard output, one line each.
#
# Arguments: the cluster's directory, the directory of the server's programs, and the template to copy (may be empty).
dir=$1 bin=$2 template=$3
unset KEEPER
umask 077
# Walpilot may be gone when an answer is written; that must not end the cleaning up.
trap '' HUP PIPE
# A shell without job control gives background commands /dev/null as standard input; they read orders from 3 instead.
exec 3<&0

mkdir -m 700 "$dir" && cd "$dir" || exit
echo 'finished 0'

while read -r order; do
    case $order in
    initdb)
        "$bin/initdb" --pgdata="$dir/data" --username=postgres --pwfile="$dir/password" --encoding=UTF8 --locale=C \
            --auth-host=scram-sha-256 --auth-local=trust --no-sync </dev/null >>"$dir/log" 2>&1 3<&-
        echo "finished $?"
        ;;
    copy)
        cp -Rp "$template" "$dir/data" </dev/null >>"$dir/log" 2>&1 3<&-
        echo "finished $?"
        ;;
    start)
        "$bin/postgres" -D "$dir/data" </dev/null >>"$dir/log" 2>&1 3<&- &
        server=$!
        # While the server runs, this one takes the orders: the name of a signal, or the end.
        (
            while read -r signal; do kill -s "$signal" "$server"; done
            # A shell starts background programs with SIGQUIT ignored: a server that has not got as far as to handle
            # it misses it. The one who waits for the server ends this loop.
            while kill -s QUIT "$server"; do sleep 1; done
        ) <&3 >/dev/null 2>&1 &
        orders=$!
        wait "$server"
        status=$?
        kill "$orders" 2>/dev/null
        wait "$orders" 2>/dev/null
        echo "ended $status"
        ;;
    esac
done
cd /
rm -rf "$dir"
