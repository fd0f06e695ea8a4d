#!/bin/sh
# Fails when a snapshot is waiting for a review, or when no test reads it any more.
# Usage: tests/check-snapshots.sh FILE     FILE is what the tests wrote for INSTA_SNAPSHOT_REFERENCES_FILE.
set -eu
cd "$(dirname "$0")/.."
status=0
for pending in $(find src tests -name '*.snap.new'); do
    echo "check-snapshots: $pending is not reviewed: compare it with the old one, then rename or delete it" >&2
    status=1
done
for snapshot in $(find src tests -name '*.snap'); do
    grep -q "/$snapshot\$" "$1" 2>/dev/null && continue
    echo "check-snapshots: no test reads $snapshot: delete it" >&2
    status=1
done
exit $status
