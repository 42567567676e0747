# shellcheck shell=bash
# Shared by the scripts beside it; sourced, never run.

say()  { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with root's rights, through sudo where we are not root.
as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif have sudo; then
    sudo "$@"
  else
    fail "This step needs root: $*
Run it as root, or install sudo."
  fi
}

# The directory of PostgreSQL's server programs: TAMADA_TEST_PG_BIN if set, else the newest packaged version,
# else whatever PATH has. Prints nothing where there is none.
pg_bin() {
  if [ -n "${TAMADA_TEST_PG_BIN:-}" ]; then
    say "$TAMADA_TEST_PG_BIN"
    return
  fi
  local newest='' dir
  while read -r dir; do
    if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then newest=$dir; fi
  done < <(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V)
  if [ -z "$newest" ] && have initdb && have postgres; then newest=$(dirname "$(command -v postgres)"); fi
  if [ -n "$newest" ]; then say "$newest"; fi
}

# Puts rustup's usual place on PATH, because a login shell may not have been opened since it was installed.
find_cargo() {
  if ! have cargo && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
    PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
    export PATH
  fi
}

# What tests on real servers need to know.
tests_environment() {
  TAMADA_TEST_PG_BIN=$(pg_bin)
  [ -n "$TAMADA_TEST_PG_BIN" ] || fail "No PostgreSQL server programs found; set TAMADA_TEST_PG_BIN to their directory."
  export TAMADA_TEST_PG_BIN
  # Temporary directories must be open to `postgres` too.
  if [ "$(id -u)" = 0 ] && ! setpriv --reuid=postgres --regid=postgres --init-groups test -w "${TMPDIR:-/tmp}"; then
    export TMPDIR=/tmp
  fi
}

# User and start time tell two processes with one number apart, so that nobody is signalled in a stranger's place.
started_at() { # PID
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # Fields are counted after the command's closing bracket: it may contain blanks.
  # shellcheck disable=SC2086
  set -- ${stat##*) }
  [ "$1" != Z ] || return 1
  say "${20}"
}
