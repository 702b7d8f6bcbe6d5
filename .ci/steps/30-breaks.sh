#!/usr/bin/env bash
# Every promise, broken on purpose, turns its tests red. `npm run breaks` breaks each in more ways than one.
set -euo pipefail
npm run breaks -- --one
