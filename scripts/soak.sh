#!/usr/bin/env bash
# What `make soak` runs: the simulator, seed after seed on all processors, until Ctrl-C or for as long as was asked. A seed
# that breaks a promise is told at once, and the next one is begun. Arguments are those of `tamada-sim run`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
find_cargo

first=()
case " $* " in
  *' --first '*) ;;
  # Seeds that nobody has run before.
  *) first=(--first "$(date +%s)000") ;;
esac

cargo build --locked --profile swarm -p tamada-sim
sim=${CARGO_TARGET_DIR:-target}/swarm/tamada-sim
say "tamada-sim run ${first[*]} $*"
exec "$sim" run "${first[@]}" "$@" --threads "$(nproc)"
