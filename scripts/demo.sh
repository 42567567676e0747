#!/usr/bin/env bash
# Three members on this machine, to look at and to break. `make demo` calls it after installing what it needs.
#
#   scripts/demo.sh                          start, show, stay until Ctrl-C, stop what was started
#
# Who leads is settled by the store that the members carry in themselves; with DCS=etcd3 by an etcd beside them.
#
# and while that runs, from another terminal:
#
#   scripts/demo.sh kill-postgres [MEMBER]   kill -9 of a member's PostgreSQL (of the leader's if none is named)
#   scripts/demo.sh lose-host [MEMBER]       kill -9 of all that runs for a member: its host lost power
#   scripts/demo.sh start MEMBER             the host is back
#
# Everything lives in one directory /tmp/tamada-demo.*, removed at the end except for the logs. The file `processes`
# there lists each process we started with its start time, so that no stranger is ever signalled in its place, and so
# that the next demo can clean up after one that was killed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/lib.sh

members=(a b c)
declare -A pg_port=([a]=5442 [b]=5443 [c]=5444)
declare -A rest_port=([a]=8008 [b]=8009 [c]=8010)
declare -A raft_port=([a]=12222 [b]=12223 [c]=12224)
etcd_port=12379
etcd_peer_port=12380

dir=''     # of the demo that we start, stop or play with
store=''   # raft, or etcd3
owner=''   # PostgreSQL refuses to run as root: then the members run as `postgres`

# ---- processes ------------------------------------------------------------------------------------------------------

choose_owner() {
  owner=$(id -un)
  if [ "$(id -u)" = 0 ]; then owner=postgres; fi
}

# Ends in exec all the way, so that the number of the process is the number of the program.
as_owner() {
  if [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid="$owner" --regid="$owner" --init-groups "$@"
  fi
  exec "$@"
}

# A session of its own: Ctrl-C must reach this script only, which then stops everything in order. The locale is one
# that every machine has; initdb refuses to work with one that is set but not installed.
spawn() { # NAME COMMAND …
  local name=$1
  shift
  ( cd "$dir/$name"; as_owner setsid env HOME="$dir/$name" LC_ALL=C.UTF-8 "$@" ) \
    </dev/null >>"$dir/$name.log" 2>&1 &
  local pid=$!
  disown "$pid"
  say "$pid $(started_at "$pid" || say gone) $name" >>"$dir/processes"
}

# The numbers of a name's processes that still run.
running() { # NAME
  local pid start name
  if ! [ -r "$dir/processes" ]; then return; fi
  while read -r pid start name; do
    if [ "$name" = "$1" ] && [ "$(started_at "$pid")" = "$start" ]; then say "$pid"; fi
  done <"$dir/processes"
}

# PostgreSQL works in its data directory: whoever has the number of postmaster.pid but works elsewhere is not it.
postmaster() { # NAME
  local data=$dir/$1/data pid
  pid=$(head -n 1 "$data/postmaster.pid" 2>/dev/null) || return 0
  if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$data" ]; then say "$pid"; fi
}

# Waits until the command prints nothing any more: 0 if it came to that within so many seconds.
silent_within() { # SECONDS COMMAND …
  local end=$((SECONDS + $1))
  shift
  while [ -n "$("$@")" ]; do
    if [ "$SECONDS" -ge "$end" ]; then return 1; fi
    sleep 0.1
  done
}

all_members() { local name; for name in "${members[@]}"; do "$1" "$name"; done; }

# shellcheck disable=SC2046,SC2086
signal() { # SIGNAL PIDS: some may be gone by now
  if [ -n "$2" ]; then kill -s "$1" $2 2>/dev/null || true; fi
}

# ---- stopping -------------------------------------------------------------------------------------------------------

# Agents first: each stops its PostgreSQL and gives up its keys. Then PostgreSQL left behind by an agent that was
# killed. etcd last, because the agents say goodbye to it.
stop_everything() {
  signal TERM "$(all_members running)"
  if ! silent_within 40 all_members running; then
    say "Some agents did not stop; killing them."
    signal KILL "$(all_members running)"
  fi
  signal INT "$(all_members postmaster)"
  if ! silent_within 20 all_members postmaster; then
    signal QUIT "$(all_members postmaster)"
    silent_within 10 all_members postmaster || signal KILL "$(all_members postmaster)"
  fi
  signal TERM "$(running etcd)"
  silent_within 10 running etcd || signal KILL "$(running etcd)"
}

remove_data() { # leaves the logs
  local name
  for name in "${members[@]}" etcd; do rm -rf "${dir:?}/$name"; done
  rm -f "$dir"/*.yml "$dir/pgpass" "$dir/processes" "$dir/demo.pid" "$dir/tamada" "$dir/tamadactl" "$dir/demo"
}

finish() {
  trap '' INT TERM HUP EXIT
  set +e
  if [ -z "$dir" ]; then return; fi
  printf '\nStopping …\n'
  stop_everything
  remove_data
  say "Stopped. The members' logs, until the next demo:"
  printf '  %s\n' "$dir"/*.log
}

# ---- other demos ----------------------------------------------------------------------------------------------------

# Directories of demos of this user, with the process of each: `DIR PID`, PID empty where it is gone.
demos() {
  local other pid start
  for other in /tmp/tamada-demo.*; do
    if ! [ -d "$other" ] || ! [ -O "$other" ]; then continue; fi
    pid='' start=''
    if [ -r "$other/demo.pid" ]; then read -r pid start <"$other/demo.pid"; fi
    if [ -z "$pid" ] || [ "$(started_at "$pid")" != "$start" ]; then pid=''; fi
    say "$other $pid"
  done
}

refuse_or_clean_up() {
  local other pid
  while read -r other pid; do
    if [ -n "$pid" ]; then
      fail "A demo runs already, in $other. Stop it with Ctrl-C in its terminal, or with: kill $pid"
    fi
    dir=$other
    if [ -e "$other/processes" ]; then
      say "Cleaning up after a demo that was killed: $other"
      stop_everything
    fi
    rm -rf "${other:?}"
    dir=''
  done < <(demos)
}

find_running_demo() {
  local other pid
  while read -r other pid; do
    if [ -n "$pid" ]; then dir=$other; fi
  done < <(demos)
  if [ -z "$dir" ]; then fail "No demo of this user runs here. Start one with: make demo"; fi
}

check_ports() {
  local port busy=''
  for port in "${pg_port[@]}" "${rest_port[@]}" $(store_ports); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then busy+=" $port"; fi
  done
  if [ -n "$busy" ]; then
    fail "Another program listens on port(s)$busy of 127.0.0.1, which the demo needs. \`ss -ltnp\` shows which one;
stop it and try again. (PostgreSQL: ${pg_port[*]}; REST: ${rest_port[*]}; store: $(store_ports).)"
  fi
}

store_ports() {
  case $store in
    raft) say "${raft_port[*]}" ;;
    etcd3) say "$etcd_port $etcd_peer_port" ;;
  esac
}

# ---- starting -------------------------------------------------------------------------------------------------------

build() {
  if [ -n "${TAMADA_DEMO_PROGRAM:-}" ]; then
    program=$TAMADA_DEMO_PROGRAM
    return
  fi
  find_cargo
  say "Building …"
  cargo build --release --locked -p tamada
  program=${CARGO_TARGET_DIR:-target}/release/tamada
}

# The program is copied: `postgres` may not be allowed into the checkout, and a new build must not disturb the demo.
prepare_directory() {
  dir=$(mktemp -d /tmp/tamada-demo.XXXXXX)
  chmod 755 "$dir"
  say "$$ $(started_at $$)" >"$dir/demo.pid"
  install -m 755 "$program" "$dir/tamada"
  ln -s "$PWD/scripts/demo.sh" "$dir/demo"
  printf '#!/bin/sh\nexec %s/tamada ctl -c %s/a.yml "$@"\n' "$dir" "$dir" >"$dir/tamadactl"
  chmod 755 "$dir/tamadactl"
  password=$(od -An -N12 -tx1 /dev/urandom | tr -d ' \n')
  ( umask 077; say "127.0.0.1:*:*:postgres:$password" >"$dir/pgpass" )
  local name names=("${members[@]}")
  if [ "$store" = etcd3 ]; then names+=(etcd); fi
  for name in "${names[@]}"; do
    install -d -m 700 -o "$owner" -g "$(id -gn "$owner")" "$dir/$name"
  done
  for name in "${members[@]}"; do
    ( umask 077; configuration "$name" >"$dir/$name.yml" )
    chown "$owner" "$dir/$name.yml"
  done
}

# The time-outs are shorter than the defaults (30, 10, 10), so that losing a host is not a test of patience.
configuration() { # NAME
  cat <<YAML
scope: demo
name: $1
restapi:
  listen: 127.0.0.1:${rest_port[$1]}
  connect_address: 127.0.0.1:${rest_port[$1]}
$(store_section "$1")
bootstrap:
  dcs:
    ttl: 10
    loop_wait: 2
    retry_timeout: 3
    postgresql:
      use_pg_rewind: true
  initdb:
    - encoding: UTF8
    - data-checksums
postgresql:
  listen: 127.0.0.1:${pg_port[$1]}
  connect_address: 127.0.0.1:${pg_port[$1]}
  data_dir: $dir/$1/data
  bin_dir: $pg_bin
  pgpass: $dir/$1/pgpass
  authentication:
    superuser: {username: postgres, password: "$password"}
    replication: {username: replicator, password: "$password"}
    rewind: {username: rewinder, password: "$password"}
  parameters:
    unix_socket_directories: $dir/$1
  pg_hba:
    - local all all scram-sha-256
    - host all all 127.0.0.1/32 scram-sha-256
    - host replication all 127.0.0.1/32 scram-sha-256
  basebackup:
    - checkpoint: fast
YAML
}

store_section() { # NAME
  local name partners=()
  case $store in
    raft)
      for name in "${members[@]}"; do
        if [ "$name" != "$1" ]; then partners+=("127.0.0.1:${raft_port[$name]}"); fi
      done
      cat <<YAML
raft:
  self_addr: 127.0.0.1:${raft_port[$1]}
  partner_addrs: ["${partners[0]}", "${partners[1]}"]
  data_dir: $dir/$1/store
  password: "$password"
YAML
      ;;
    etcd3)
      cat <<YAML
etcd3:
  hosts: 127.0.0.1:$etcd_port
YAML
      ;;
  esac
}

start_etcd() {
  local url=http://127.0.0.1:$etcd_port peer=http://127.0.0.1:$etcd_peer_port
  spawn etcd etcd --name demo --data-dir "$dir/etcd/data" --listen-client-urls "$url" --advertise-client-urls "$url" \
    --listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "demo=$peer"
  local end=$((SECONDS + 30))
  until curl -fs -o /dev/null -m 1 "$url/health"; do
    if [ -z "$(running etcd)" ] || [ "$SECONDS" -ge "$end" ]; then give_up etcd "etcd did not start"; fi
    sleep 0.1
  done
}

start_member() { spawn "$1" "$dir/tamada" run "$dir/$1.yml"; }

give_up() { # NAME WHAT
  printf '\n%s. The end of %s.log:\n' "$2" "$1" >&2
  tail -n 15 "$dir/$1.log" >&2
  exit 1
}

# ---- watching -------------------------------------------------------------------------------------------------------

# One line per member: name, role, state, timeline.
table() {
  "$dir/tamadactl" list -f tsv 2>/dev/null | awk -F '\t' '
    NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i; next }
    { print $column["Member"] " " $column["Role"] ", " $column["State"] ", timeline " $column["TL"] }' || true
}

declare -A shown=()

# Says what changed since we looked last.
tell_changes() {
  local now=$1 name line
  for name in "${members[@]}"; do
    line=$(sed -n "s/^$name //p" <<<"$now")
    line=${line%, timeline }
    : "${line:=not in the cluster}"
    if [ "${shown[$name]:-not in the cluster}" != "$line" ]; then
      printf '%(%H:%M:%S)T  %s: %s\n' -1 "$name" "$line"
      shown[$name]=$line
    fi
  done
}

wait_for_members() {
  local now name end=$((SECONDS + 180))
  while :; do
    now=$(table)
    tell_changes "$now"
    if [ "$(grep -c ' Leader, running' <<<"$now")" = 1 ] && [ "$(grep -c ' Replica, streaming' <<<"$now")" = 2 ]; then
      return
    fi
    for name in "${members[@]}"; do
      if [ -z "$(running "$name")" ]; then give_up "$name" "The agent of $name ended"; fi
      if [ "$SECONDS" -ge "$end" ]; then give_up "$name" "The members are not ready after three minutes"; fi
    done
    sleep 0.2
  done
}

stay() {
  while :; do
    sleep 0.5
    tell_changes "$(table)"
  done
}

leader() {
  local name
  for name in "${members[@]}"; do
    if curl -fs -o /dev/null -m 2 "http://127.0.0.1:${rest_port[$name]}/primary"; then say "$name"; return; fi
  done
}

introduce() {
  local primary
  primary=$(leader)
  : "${primary:=a}"
  cat <<TEXT

Three members run as user $owner; everything is in $dir. Ctrl-C here stops it.
Changes will be told below. To try, in another terminal:

  cd $dir
  ./tamadactl list                  the members; with -W it repeats
  ./tamadactl topology
$(introduce_store)
  ./tamadactl switchover --force    another member becomes the primary, in good order
  curl -i http://127.0.0.1:${rest_port[$primary]}/primary      200 on the primary, 503 elsewhere: for load balancers
  psql 'host=127.0.0.1,127.0.0.1,127.0.0.1 port=${pg_port[a]},${pg_port[b]},${pg_port[c]} user=postgres dbname=postgres passfile=$dir/pgpass target_session_attrs=read-write'

  ./demo kill-postgres              PostgreSQL of the primary dies. The same by hand, for $primary:
    kill -9 \$(head -n 1 $dir/$primary/data/postmaster.pid)
  ./demo lose-host                  agent and PostgreSQL of the primary die at once. The same by hand, for $primary:
    agent=$(running "$primary"); postmaster=\$(head -n 1 $dir/$primary/data/postmaster.pid)
    kill -STOP \$agent; kill -9 \$postmaster \$(pgrep -P \$postmaster) \$agent
  ./demo start $primary                    the lost host is back; its member rejoins by itself

TEXT
}

introduce_store() {
  case $store in
    raft) say "  ./tamadactl store status          the store that the members carry in themselves" ;;
    etcd3) say "  etcdctl --endpoints 127.0.0.1:$etcd_port get --prefix /service/demo    the store" ;;
  esac
}

demo() {
  store=${DCS:-raft}
  case $store in
    raft | etcd3) ;;
    *) fail "DCS=$store: the demo knows raft, which is the store that Tamada brings along, and etcd3." ;;
  esac
  pg_bin=$(pg_bin)
  [ -n "$pg_bin" ] || fail "No PostgreSQL server programs found; \`make demo\` installs them."
  choose_owner
  refuse_or_clean_up
  check_ports
  build
  trap finish EXIT
  trap 'exit 0' INT TERM
  trap 'exit 129' HUP
  prepare_directory
  say "Starting the members ${members[*]} in $dir …"
  if [ "$store" = etcd3 ]; then start_etcd; fi
  local name
  for name in "${members[@]}"; do start_member "$name"; done
  wait_for_members
  printf '\n'
  "$dir/tamadactl" list
  introduce
  stay
}

# ---- breaking things ------------------------------------------------------------------------------------------------

the_member() { # [NAME]
  local name=${1:-$(leader)}
  [ -n "$name" ] || fail "There is no leader just now; name a member."
  [ -n "${rest_port[$name]:-}" ] || fail "There is no member $name: ${members[*]}."
  say "$name"
}

kill_postgres() {
  local name pid
  name=$(the_member "${1:-}")
  pid=$(postmaster "$name")
  [ -n "$pid" ] || fail "PostgreSQL of $name does not run."
  say "kill -9 $pid    (PostgreSQL of $name)"
  kill -9 "$pid"
}

# The agent is stopped first, so that it cannot even notice; children of the postmaster are listed before it dies.
lose_host() {
  local name agent postmaster all
  name=$(the_member "${1:-}")
  agent=$(running "$name")
  signal STOP "$agent"
  postmaster=$(postmaster "$name")
  all="$postmaster $agent"
  if [ -n "$postmaster" ]; then all+=" $(pgrep -d ' ' -P "$postmaster" || true)"; fi
  if [ -n "$agent" ]; then all+=" $(pgrep -d ' ' -s "$agent" || true)"; fi
  # The guard has a session of its own.
  all+=" $(pgrep -d ' ' -f "^tamada guard [^ ]+ $dir/$name/data( |\$)" || true)"
  [ -n "${all// /}" ] || fail "Nothing runs for $name."
  say "kill -9 $all    (all that runs for $name)"
  signal KILL "$all"
  say "It comes back with: $0 start $name"
}

start_again() {
  local name
  [ -n "${1:-}" ] || fail "Which member? ${members[*]}"
  name=$(the_member "$1")
  [ -z "$(running "$name")" ] || fail "The agent of $name runs already."
  start_member "$name"
}

choose_owner
case ${1:-} in
  '') demo ;;
  kill-postgres) find_running_demo; kill_postgres "${2:-}" ;;
  lose-host) find_running_demo; lose_host "${2:-}" ;;
  start) find_running_demo; start_again "${2:-}" ;;
  *) sed -n 's/^# \{0,1\}//; 2,13p' scripts/demo.sh; exit 2 ;;
esac
