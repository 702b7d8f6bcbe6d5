#!/usr/bin/env bash
# The packed library in empty applications.
set -euo pipefail
npm run pack:try -- nest12
npm run pack:try -- nest11
