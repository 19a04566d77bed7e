#!/bin/sh
# Runs the fuzz targets for a while each: fuzz/run.sh SECONDS [TARGET..]
#
# Needs cargo with the pinned toolchain and a C++ compiler (for libFuzzer). Coverage is instrumented
# by hand, since the compiler's own option for it is not stable; with a target given, build scripts
# are not instrumented. What a target finds beyond its seeds stays in fuzz/corpus. If one fails,
# the input that did it is in fuzz/artifacts, and the last line says where.
set -eu

usage() {
    echo "usage: $0 SECONDS [TARGET..]" >&2
    exit 2
}

cd "$(dirname "$0")"
[ $# -ge 1 ] || usage
seconds=$1
shift
case $seconds in '' | *[!0-9]*) usage ;; esac
[ $# -gt 0 ] || set -- $(ls fuzz_targets | sed -n 's/\.rs$//p')

host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS="--cfg fuzzing \
-Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares \
-Ccodegen-units=1"
cargo build --release --target "$host" --bins
binaries=${CARGO_TARGET_DIR:-target}/$host/release

for target in "$@"; do
    echo "== $target, $seconds seconds"
    mkdir -p "corpus/$target" "artifacts/$target" "seeds/$target"
    if ! "$binaries/$target" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 \
        -verbosity=0 -print_final_stats=1 -artifact_prefix="artifacts/$target/" \
        "corpus/$target" "seeds/$target"; then
        echo "$target failed on fuzz/$(ls -t artifacts/"$target"/* | head -n 1)" >&2
        exit 1
    fi
done
