#!/usr/bin/env bash
# A paired device beside stock OpenMLS on the same state, in one run: CPU time, ratios, and what is written
# to the disk where `strace` is installed. `--quick` takes about three minutes after the build; `--json
# FILE` keeps all rows, and `table FILE` prints them again.
set -euo pipefail
cd "$(dirname "$0")"
# One thread: both sides encrypt the path of a commit in parallel where there are more.
export RAYON_NUM_THREADS=1
exec cargo run --release --locked --quiet -p paired-mls-bench -- "$@"
