#!/usr/bin/env bash
# Runs the fuzz programs given as arguments, one after the other, for FUZZ_SECONDS (30) in all: a smoke test, not a
# campaign.
# Seeds come from test/golden/; what a run finds is kept in build/fuzz/<program>/ and tried first the next time.
# A crash leaves build/fuzz/<program>-crash-...; repeat it with: build/native/<program> <that file>
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || { echo "make fuzz: there is no test/c/fuzz_*.c yet"; exit 0; }
seconds=$(( ${FUZZ_SECONDS:-30} / $# ))
[ "$seconds" -gt 0 ] || seconds=1
seeds=()
[ ! -d test/golden ] || seeds=(test/golden)
for program in "$@"; do
  name=$(basename "$program")
  mkdir -p "build/fuzz/$name"
  echo "fuzz: $name for $seconds s"
  if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/fuzz/$name-" \
    -print_final_stats=1 "build/fuzz/$name" "${seeds[@]}" >"build/fuzz/$name.log" 2>&1 </dev/null; then
    tail -n 60 "build/fuzz/$name.log"
    echo "fuzz: $name failed"
    exit 1
  fi
  sed -n 's/^stat::number_of_executed_units: */fuzz: runs: /p' "build/fuzz/$name.log"
done
