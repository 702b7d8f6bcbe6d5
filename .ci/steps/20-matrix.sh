#!/usr/bin/env bash
# The packed library in empty applications: the oldest and the newest that it runs on. `npm run matrix` runs all 24.
set -euo pipefail
npm run matrix -- --cells nest11/typeorm0.3/express/node20,nest12/typeorm1.1/fastify/node24
