#!/bin/sh
# Runs the programs of bench/ on the smallest layer, as script/bench does on all. Skipped where they
# are not built, because there is no oneDNN.
#
#   test_bench.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 program=$2/bench/bench_layers

if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$2/CMakeCache.txt"; then
    echo "skipped: sanitizers watch oneDNN and OpenMP, too"
    exit 77
fi
if [ ! -x "$program" ]; then
    echo "skipped: built without oneDNN"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$*" >&2
    exit 1
}

"$program" --layer lenet_28_1-6_5x5 --batch 2 --repeats 1 --json >"$work/lines"
for expected in '"event":"machine"=1' '"event":"layer"=3' '"event":"mean"=3' \
    '"direction":"backward weights"=2' '"way":"none"=0'; do
    found=$(grep -c "${expected%=*}" "$work/lines" || true)
    [ "$found" = "${expected#*=}" ] || fail "expected ${expected#*=} lines with ${expected%=*}, found $found"
done
"$program" --layer lenet_28_1-6_5x5 --batch 1 --repeats 1 >"$work/table"
grep -q '^lenet_28_1-6_5x5  *forward .* % ' "$work/table" || fail "no row of the layer"

status=0
"$program" --layer nowhere >/dev/null 2>"$work/error" || status=$?
[ $status = 1 ] || fail "an unknown layer: exit status $status, expected 1"
status=0
"$program" --batch many >/dev/null 2>"$work/error" || status=$?
[ $status = 2 ] || fail "a wrong option: exit status $status, expected 2"

if command -v python3 >/dev/null; then
    python3 "$source_tree/bench/report.py" "$work/lines" | grep -q '^| .lenet_28_1-6_5x5. | ' ||
        fail "no row of the layer in the report"
    python3 "$source_tree/bench/report.py" --roofline "$work/plot.svg" "$work/lines"
    grep -q '>1  lenet_28_1-6_5x5<' "$work/plot.svg" || fail "no layer in the plot"
fi
