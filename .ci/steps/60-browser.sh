#!/usr/bin/env bash
# A real browser shops at the cluster page while a node and the database die.
set -euo pipefail

if ! command -v chromium >/dev/null && [ -z "${CHROMIUM:-}" ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo 'Install chromium, or set CHROMIUM to a browser of that family.' >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y -qq --no-install-recommends chromium >/dev/null
fi
npm ci --prefix test/browser --no-audit --no-fund
npm run test:browser
