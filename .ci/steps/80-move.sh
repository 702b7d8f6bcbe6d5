#!/usr/bin/env bash
# Applications written for express-session and @fastify/session, before and after their move: their suites, and a change of
# three nodes under load that signs nobody out.
set -euo pipefail
npm run build:lib
npm run move
