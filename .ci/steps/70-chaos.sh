#!/usr/bin/env bash
# Processes, clients and faults on the databases with more than one server, a minute each, and first the applications that
# are wrong on purpose. `npm run chaos -- --full` is the long run.
set -euo pipefail
npm run build:lib
npm run chaos -- --built --controls --database postgres
npm run chaos -- --built --no-controls --database postgres-failover --seconds 60 \
  --faults primary-killed,switch-over,partition,process-killed,process-frozen
npm run chaos -- --built --no-controls --database galera --seconds 60 \
  --faults node-killed,quorum-lost,cut,process-killed,process-frozen
