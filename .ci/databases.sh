#!/usr/bin/env bash
# What the tests need beside Node and npm: without it they would be skipped, and a skip fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."

has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }
has_galera() { [ -e /usr/lib/galera/libgalera_smm.so ]; }
has() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

has_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }

if ! { has mariadbd && has haproxy && has pgbouncer && has_galera && has_postgres && has_faketime >/dev/null; }; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo 'Install MariaDB with Galera, PostgreSQL, HAProxy, PgBouncer and libfaketime: only root on Debian or Ubuntu can have it done here.' >&2
    exit 1
  fi
  # The packages would start servers, which nobody here uses and which would stay.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends mariadb-server galera-4 postgresql haproxy pgbouncer libfaketime >/dev/null
fi
mariadbd --version

# Compiled on its installation, which takes a minute or two: so it is no dependency of the project.
npm ci --prefix scripts/race/sqlite
