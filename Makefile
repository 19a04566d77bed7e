# compute-gateway: everything by name. `make` alone lists it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# What the machine needs besides the Rust toolchain, named once: a linker and a C compiler for
# crates that bring C, a C++ compiler for libFuzzer, valgrind for instruction counts.
APT_PACKAGES := build-essential valgrind
# And for the feature `dpdk` alone: DPDK with its drivers, what makes the bindings, and what sets up
# the network of its tests.
DPDK_APT_PACKAGES := libdpdk-dev libclang-dev pkg-config iproute2 util-linux
# And for the live tests alone: what sets up their network.
LIVE_APT_PACKAGES := build-essential iproute2 frr tshark
# And for the RDMA lab alone: emulated hosts, and what sets up the network between them.
RDMA_APT_PACKAGES := qemu-system-x86 iproute2 ethtool procps util-linux binutils python3
BINARY := target/release/compute-gateway
# Seconds each fuzz target runs.
FUZZ_SECONDS ?= 60
# Packets of the soak: a billion.
SOAK_PACKETS ?= 1000000000
# The capture and the wide area of the demo: 10 Gbit/s, 1000 km there and back, one packet in a
# hundred lost.
DEMO_CAPTURE ?= pcap-tests/captures/rc-write.pcap
DEMO_PATH ?= p1,rate=10G,delay=2.5ms,loss=0.01
DEMO_SEED ?= 1
# Options of the RDMA lab: `pcap-tests/softroce/test_rdma.py --help` lists them.
RDMA_OPTIONS ?=

.PHONY: help setup build demo scenarios test test-live test-rdma setup-dpdk build-dpdk test-dpdk bench limits soak instructions lint fuzz clean

help: ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

setup: ## install what the machine lacks (apt packages; needs root or sudo, only if something is missing)
	@missing=""; for package in $(APT_PACKAGES); do \
	  dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q "ok installed" || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  echo "installing:$$missing"; \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
	else echo "nothing to install: $(APT_PACKAGES)"; fi

build: ## the binary, optimised: target/release/compute-gateway
	cargo build --release --locked

demo: setup build ## a real RDMA capture across a lossy wide area, with and without the gateways
	$(BINARY) lab --input $(DEMO_CAPTURE) --path $(DEMO_PATH) --seed $(DEMO_SEED) --compare

scenarios: setup build ## what is promised, each a scenario of the lab: what is expected, and what was seen
	$(BINARY) lab --scenario lab/scenarios/*.toml

test: setup ## all tests, then ten seconds of each fuzz target
	cargo test --workspace --locked
	fuzz/run.sh 10

test-live: ## running gateways between hosts in network namespaces, over a wire that loses (root; minutes)
	$(MAKE) setup APT_PACKAGES="$(LIVE_APT_PACKAGES)"
	cargo test --locked -p compute-gateway-dataplane --test afxdp -- --ignored --test-threads 1
	cargo test --locked --test live -- --ignored --test-threads 1

test-rdma: $(if $(findstring dpdk,$(RDMA_OPTIONS)),build-dpdk,build) ## two real RDMA stacks across a lossy wire, with and without the gateways (root; minutes)
	$(MAKE) setup APT_PACKAGES="$(RDMA_APT_PACKAGES)"
	cargo build --release --locked -p compute-gateway-pcap-tests --example wire
	pcap-tests/softroce/test_rdma.py $(RDMA_OPTIONS)

setup-dpdk: ## install what the feature `dpdk` needs
	@$(MAKE) --no-print-directory setup APT_PACKAGES="$(DPDK_APT_PACKAGES)"

build-dpdk: setup-dpdk ## the binary with ports of DPDK
	cargo build --release --locked --features dpdk

test-dpdk: setup-dpdk ## lint and test ports of DPDK, on its virtual devices (those of the kernel: root)
	cargo clippy -p dpdk-sys -p compute-gateway-dataplane --features dpdk-sys/link,compute-gateway-dataplane/dpdk \
	  --all-targets --locked -- -D warnings
	cargo test -p compute-gateway-dataplane --features dpdk --locked
	if [ "$$(id -u)" = 0 ]; then cargo test --features dpdk --locked --test live dpdk -- --ignored --test-threads 1; \
	else echo "not root: gateways on ports of DPDK not run"; fi

bench: setup ## all benches: criterion, and the whole worker (packets a second, cycles, allocations)
	cargo bench --workspace --locked

limits: setup ## goodput and completion times against loss, beside what is possible: docs/limits.md, docs/limits.svg
	cargo run --release --locked -p compute-gateway-benches --bin limits -- docs

soak: setup ## SOAK_PACKETS packets through two gateways in virtual time, one in a thousand lost: nothing may be missing or grow
	cargo run --release --locked -p compute-gateway-benches --bin soak -- $(SOAK_PACKETS)

instructions: setup ## instructions a packet of each stage, counted by callgrind: exact on a noisy machine
	benches/instructions.sh

lint: ## rustfmt, clippy, rustdoc, and cargo-deny where it is installed
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	else echo "cargo-deny is not installed: dependencies not checked (cargo install cargo-deny)"; fi

fuzz: setup ## every parser of network bytes, and the gateway, for FUZZ_SECONDS each
	fuzz/run.sh $(FUZZ_SECONDS)

clean: ## remove what was built
	cargo clean
	rm -rf fuzz/target
