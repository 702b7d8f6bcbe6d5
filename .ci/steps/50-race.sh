#!/usr/bin/env bash
# Real processes on one database, and the naive store that has to lose where ours does not. `npm run race` has the numbers
# of the README.
set -euo pipefail
npm run build:lib
for database in postgres mariadb sqlite; do
  npm run race -- --built --database "$database" --rounds 15
done
