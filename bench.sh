#!/usr/bin/env bash
# Paired beside ordinary commits, in one run: times, ratios, bytes. `--quick` takes less than three
# minutes after the build.
set -euo pipefail
cd "$(dirname "$0")"
exec cargo run --release --locked --quiet -p paired-mls-bench -- "$@"
