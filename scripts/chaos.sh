#!/usr/bin/env bash
# What `make chaos` runs once everything is installed: all scenarios on whole clusters, one after the other, and the table
# of what was done. `SCENARIO=14` picks one of them; docs/chaos.md says what they are and how to read the table.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
find_cargo
tests_environment

filter=scenario_
if [ -n "${SCENARIO:-}" ]; then filter=$(printf 'scenario_%02d_' "$((10#$SCENARIO))"); fi

export TAMADA_CHAOS=yes
TAMADA_CHAOS_TABLE=$(mktemp)
export TAMADA_CHAOS_TABLE
# The tests may run as another user.
chmod 666 "$TAMADA_CHAOS_TABLE"
trap 'rm -f "$TAMADA_CHAOS_TABLE"' EXIT

result=0
cargo test --locked -p tamada --test it -- "$filter" --nocapture --test-threads 1 || result=$?

say
say '| # | What was done | Store, ttl | Acknowledged | Unknown | Longest gap | Writes again after | Lost |'
say '|---|---|---|---|---|---|---|---|'
sort --stable --field-separator='|' --key=2n "$TAMADA_CHAOS_TABLE"
if [ "$result" != 0 ]; then fail "
Something did not hold: see above."; fi
