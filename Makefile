# Four commands do everything on a fresh Debian or Ubuntu machine, as root or as a sudoer:
#
#   make demo   three members on loopback, until Ctrl-C
#   make test   everything that must hold before a commit
#   make chaos  whole clusters under faults, for a quarter of an hour, and a table of what came of it; SCENARIO=14: only that
#   make soak   simulated clusters under faults, seed after seed, until Ctrl-C; SECONDS=600, SEEDS=100000, FIRST=1
#
# The demo's members settle among themselves who leads; with DCS=etcd3 they ask an etcd that is started beside them.
# What they install and why is written in scripts/need.sh.

.PHONY: help demo test chaos soak rust rust-if-missing
.DEFAULT_GOAL := help

# The store of the demo.
export DCS ?= raft

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -n 9

demo: rust-if-missing
	@scripts/need.sh rust compiler cluster $(filter etcd3,$(DCS))
	@scripts/demo.sh

test: rust-if-missing
	@scripts/need.sh rust compiler cluster etcd3
	@scripts/test.sh

chaos: rust-if-missing
	@scripts/need.sh rust compiler cluster etcd3
	@scripts/chaos.sh

# Nothing but Rust and a linker.
soak: rust-if-missing
	@scripts/need.sh rust compiler
	@scripts/soak.sh $(if $(FIRST),--first $(FIRST)) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SECONDS),--time $(SECONDS))

# Only where there is none at all; one that is too old is named, and left to its owner.
rust-if-missing:
	@command -v cargo >/dev/null || [ -x "$${CARGO_HOME:-$$HOME/.cargo}/bin/cargo" ] || $(MAKE) --no-print-directory rust

# Rust itself, for this user, from rust-lang.org.
rust:
	@scripts/need.sh compiler
	curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal --component rustfmt,clippy
