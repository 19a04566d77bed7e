#!/usr/bin/env bash
# Instructions a packet of each stage, counted by callgrind. Every stage runs twice, with more
# packets the second time; the difference leaves out what happens once. Counts repeat to the digit
# on one machine and build, however busy it is; they say nothing of caches and branches.
set -euo pipefail
cd "$(dirname "$0")/.."

few=${FEW:-10000}
many=${MANY:-30000}

command -v valgrind >/dev/null || { echo "valgrind is not installed: make setup" >&2; exit 1; }
cargo build --release --locked --quiet -p compute-gateway-benches --bin count
count=${CARGO_TARGET_DIR:-target}/release/count
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Instructions inside the binary's `measured`, for stage $1 and $2 packets.
instructions() {
  valgrind --tool=callgrind --toggle-collect='*measured*' --callgrind-out-file="$scratch/out" \
    "$count" "$1" "$2" >"$scratch/log" 2>&1 || { cat "$scratch/log" >&2; return 1; }
  local counted
  counted=$(awk '/^(summary|totals):/ { print $2; exit }' "$scratch/out")
  # Nothing counted: the function has another name now, and every stage would cost nothing.
  [[ ${counted:-0} -gt 0 ]] || { echo "nothing counted in $1" >&2; return 1; }
  echo "$counted"
}

native=$("$count" crc)
simulated=$(valgrind --tool=none --log-file="$scratch/log" "$count" crc)
declare -A each
printf '%-24s %14s\n' STAGE INSTRUCTIONS/PKT
for stage in $("$count"); do
  first=$(instructions "$stage" "$few")
  second=$(instructions "$stage" "$many")
  each[$stage]=$(awk "BEGIN { printf \"%.1f\", ($second - $first) / ($many - $few) }")
  printf '%-24s %14s\n' "$stage" "${each[$stage]}"
done
# What a loss costs both gateways over a packet that arrives: the NACK, the second copy, and the
# packets of the lane that wait for it.
lossless="${each[encapsulate]} + ${each[receive-in-order]}"
printf '%-24s %14s\n' "a loss and its repair" \
  "$(awk "BEGIN { printf \"%.0f\", (${each["both-1%-lost"]} - ($lossless)) * 100 }")"
echo
if [[ $native == "$simulated" ]]; then
  echo "CRC-32 here and under valgrind: $native."
else
  echo "CRC-32 under valgrind: $simulated; here: $native. The counts of verify and compute are not what runs here."
fi
