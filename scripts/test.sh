#!/usr/bin/env bash
# What `make test` runs once everything is installed: format, lints, tidy, tests; the test runner has the last word.
#
# The tests start real PostgreSQL and etcd servers, on free ports and in temporary directories. PostgreSQL refuses to
# run as root; as root the tests therefore start it as the user `postgres`. That user cannot enter a checkout below
# /root, so a test that wants the `tamada` binary run by `postgres` copies it into its temporary directory first and
# makes that the working directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
find_cargo

tests_environment

step() { printf '\n== %s\n' "$*"; "$@"; }

run_tests() {
  if cargo nextest --version >/dev/null 2>&1; then
    step cargo nextest run --locked --workspace --no-fail-fast
  else
    step cargo_test
  fi
}

# `cargo test` closes with one line per test binary: say them all again, summed, at the end.
cargo_test() {
  local log result=0
  log=$(mktemp)
  cargo test --locked --workspace --lib --bins --tests --no-fail-fast 2>&1 | tee "$log" || result=$?
  printf '\n'
  awk '/^test result:/ { binaries++; passed += $4; failed += $6; ignored += $8 }
       END { printf "test result: %d passed; %d failed; %d ignored; in %d test binaries\n", passed, failed, ignored, binaries }' "$log"
  rm -f "$log"
  return "$result"
}

# An empty block per crate is no news.
doc_tests() {
  local log result=0
  log=$(mktemp)
  cargo test --locked --workspace --doc --quiet >"$log" 2>&1 || result=$?
  if [ "$result" != 0 ]; then cat "$log"; fi
  rm -f "$log"
  return "$result"
}

# The simulator's seeds are each commit's own.
commit=$(git rev-parse --verify --quiet HEAD 2>/dev/null || echo 0000000000)
export TAMADA_SEEDS=${TAMADA_SEEDS:-$((16#${commit:0:10}))}

say "PostgreSQL: $("$TAMADA_TEST_PG_BIN/postgres" --version), $TAMADA_TEST_PG_BIN"
say "seeds:      $TAMADA_SEEDS and the next 1999"
say "etcd:       $(etcd --version | head -n 1)"
step cargo fmt --all --check
step cargo clippy --locked --workspace --all-targets -- -D warnings
step cargo xtask tidy
step doc_tests
run_tests   # last, so that its summary ends the output
