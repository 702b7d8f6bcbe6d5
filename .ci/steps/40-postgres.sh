#!/usr/bin/env bash
# The tests of stores and databases on the PostgreSQL of the distribution: an older one than npm's.
set -euo pipefail

bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -1)
data=$(mktemp -d)
port=$(node -e "const s = require('net').createServer().listen(0, '127.0.0.1', () => (console.log(s.address().port), s.close()))")

# The server refuses to run as root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then
    chown postgres "$data"
    (cd "$data" && setpriv --reuid=postgres --regid=postgres --clear-groups "$@")
  else
    "$@"
  fi
}

as_owner "$bin/initdb" -D "$data/db" -U postgres -A trust -E UTF8 --locale=C --no-sync >/dev/null
trap 'as_owner "$bin/pg_ctl" -D "$data/db" -m immediate stop >/dev/null; rm -rf "$data"' EXIT
as_owner "$bin/pg_ctl" -D "$data/db" -w -l "$data/log" start \
  -o "-p $port -k $data -c listen_addresses=127.0.0.1 -c max_connections=200 -c fsync=off" >/dev/null

export TEST_DATABASE_URL="postgres://postgres@127.0.0.1:$port/postgres"
"$bin/psql" "$TEST_DATABASE_URL" -Atc 'SELECT version()'
npm test -- test/store/postgres test/databases
