#!/usr/bin/env bash
# The README's first command, twice, and a visit over both processes.
set -euo pipefail
node scripts/start-try.mjs
