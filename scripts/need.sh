#!/usr/bin/env bash
# Installs what a step needs, and only what is missing: scripts/need.sh make|compiler|rust|cluster|etcd3 …
#
#   make      GNU make
#   compiler  a C compiler and linker, for the Rust crates that contain C
#   rust      checks that Rust is there and says how to get it: not from the distribution, which is too old
#   cluster   PostgreSQL, and the small tools of the demo and the tests
#   etcd3     etcd, for `make demo DCS=etcd3` and the tests
#
# Packages come from the distribution (Debian, Ubuntu), with sudo where we are not root. Nothing that the packages
# would start by themselves is started: no PostgreSQL cluster is created, the etcd service stays off. What was there
# before is left as it was.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

missing=()
installs_etcd=no

want() { # PROGRAM PACKAGE
  if ! have "$1"; then missing+=("$2"); fi
}

want_postgres() {
  if [ -n "$(pg_bin)" ]; then return; fi
  missing+=(postgresql)   # replaced by a version once the lists are fresh
}

want_etcd() {
  if ! have etcd; then missing+=(etcd-server); installs_etcd=yes; fi
  want etcdctl etcd-client
}

check_rust() {
  find_cargo
  if ! have cargo; then
    fail "Rust is missing (version $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml) or later is needed).
\`make rust\` installs it for this user with rustup; https://www.rust-lang.org/tools/install has the other ways.
Then run this again."
  fi
  local part
  for part in fmt clippy; do
    if cargo "$part" --version >/dev/null 2>&1; then continue; fi
    have rustup || fail "\`cargo $part\` is missing: install your Rust distribution's package for it."
    rustup component add rustfmt clippy
  done
}

need() {
  case $1 in
    make) want make make ;;
    compiler)
      want cc gcc
      if ! [ -e /usr/include/stdio.h ]; then missing+=(libc6-dev); fi
      want curl curl
      if ! [ -e /etc/ssl/certs/ca-certificates.crt ]; then missing+=(ca-certificates); fi
      ;;
    rust) check_rust ;;
    etcd3) want_etcd ;;
    cluster)
      want_postgres
      want curl curl
      want jq jq
      want pgrep procps
      want setpriv util-linux
      want ip iproute2
      if ! [ -e /usr/share/zoneinfo/Europe/Berlin ]; then missing+=(tzdata); fi
      ;;
    *) fail "need.sh knows make, compiler, rust, cluster and etcd3, not '$1'." ;;
  esac
}

# PostgreSQL 15 is what Tamada is developed against; where the distribution has another, that one.
choose_postgres() {
  if apt-cache show postgresql-15 >/dev/null 2>&1; then say postgresql-15; else say postgresql; fi
}

# Hundreds of lines of unpacking tell nobody anything, unless it fails.
apt_get() {
  local log
  log=$(mktemp)
  if ! as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    say "apt-get $* failed." >&2
    return 1
  fi
  rm -f "$log"
}

# Both files hold only while we install, so that the machine's owner finds apt as it was.
quiet_services() {
  policy=''
  if ! [ -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  cluster_conf=''
  trap restore_services EXIT
}

# `create_main_cluster = off` goes before the server package and after the package that owns the file.
no_main_cluster() {
  apt_get install --no-install-recommends postgresql-common
  local conf=/etc/postgresql-common/createcluster.conf
  if grep -Eq '^[[:space:]]*create_main_cluster' "$conf" 2>/dev/null; then
    # Somebody decided already. A cluster they asked for will not be started by us (policy-rc.d).
    return
  fi
  cluster_conf=$conf
  printf 'create_main_cluster = false # while Tamada installs its packages\n' | as_root tee -a "$conf" >/dev/null
}

restore_services() {
  if [ -n "$policy" ]; then as_root rm -f "$policy"; fi
  if [ -n "$cluster_conf" ]; then as_root sed -i '/# while Tamada installs its packages$/d' "$cluster_conf"; fi
}

# Debian enables the service at installation; the demo and the tests start servers of their own on other ports.
leave_etcd_off() {
  if [ -d /run/systemd/system ]; then as_root systemctl disable --quiet etcd.service || true; fi
}

install_missing() {
  if ! have apt-get; then
    fail "Please install with your system's package manager, then run this again: ${missing[*]}"
  fi
  say "Installing: ${missing[*]}"
  quiet_services
  apt_get update || say "Going on with the package lists as they are." >&2
  local i
  for i in "${!missing[@]}"; do
    if [ "${missing[$i]}" = postgresql ]; then
      no_main_cluster
      missing[i]=$(choose_postgres)
    fi
  done
  apt_get install --no-install-recommends "${missing[@]}"
  if [ "$installs_etcd" = yes ]; then leave_etcd_off; fi
}

for what in "$@"; do need "$what"; done
if [ ${#missing[@]} -gt 0 ]; then install_missing; fi
