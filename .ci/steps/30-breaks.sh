#!/usr/bin/env bash
# Every promise, broken on purpose, turns its tests red.
set -euo pipefail
npm run breaks
