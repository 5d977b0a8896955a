#!/bin/sh
# Runs the program of script/bench data on a handful of images: it counts them all, and where Python
# has what the script needs, so does the script. Skipped where bench/ is not built.
#
#   test_batches.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 program=$2/bench/bench_batches

if [ ! -x "$program" ]; then
    echo "skipped: built without bench/"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$*" >&2
    exit 1
}

for class in a b; do
    mkdir "$work/$class"
    for i in 1 2 3 4 5; do
        printf 'P6 4 4 255\n%048d' $i >"$work/$class/$i.ppm"
    done
done
printf '0\n0.001\n' | "$program" "$work" 8 4 2 >"$work/lines"
[ "$(grep -c '^{"images":10,"seconds":[0-9.]*,"waited":[0-9.]*}$' "$work/lines")" = 2 ] ||
    fail "expected two epochs of 10 images, found: $(cat "$work/lines")"

printf 'P6 4 4 255\n too short' >"$work/a/3.ppm"
status=0
"$program" "$work" 8 4 2 </dev/null 2>"$work/error" || status=$?
[ $status = 1 ] || fail "a damaged image: exit status $status, expected 1"
grep -q 'a/3\.ppm' "$work/error" || fail "no name of the damaged image: $(cat "$work/error")"

if ! python3 -c 'import numpy, PIL.Image; PIL.Image.Transpose' 2>/dev/null; then
    echo "not run: bench/data.py, as python3 has no numpy or no Pillow"
    exit 0
fi
python3 "$source_tree/bench/photographs.py" "$work/photographs" 12 2>"$work/error" ||
    fail "bench/photographs.py: $(cat "$work/error")"
python3 "$source_tree/bench/data.py" "$program" --folder "$work/photographs" --batch 4 --side 32 \
    --repeats 1 --json >"$work/lines" 2>"$work/error" || fail "bench/data.py: $(cat "$work/error")"
grep -q '"event": "data", "library": "convnet", "images_per_second": [0-9]' "$work/lines" ||
    fail "no rate of ours: $(cat "$work/lines")"
grep -q '"event": "waiting", ' "$work/lines" || fail "no waiting: $(cat "$work/lines")"
