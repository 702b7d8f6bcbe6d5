#!/usr/bin/env bash
# Processes, clients and faults on the databases with more than one server, a minute each, and first the applications that
# are wrong on purpose. Always the same schedule of faults: CI is to tell of the change, and not of the dice. `npm run chaos -- --full` is the long run.
set -euo pipefail
npm run build:lib
npm run chaos -- --built --controls --database postgres
npm run chaos -- --built --no-controls --database postgres-failover --seed 1e55 --seconds 60 \
  --faults primary-killed,switch-over,partition,process-killed,process-frozen
npm run chaos -- --built --no-controls --database galera --seed 5b1527dd --seconds 60 \
  --faults node-killed,quorum-lost,cut,process-killed,process-frozen
