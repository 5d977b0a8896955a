#!/bin/sh
# The same training by one process of two threads and by two ranks of one thread each, turn by turn:
# images per second of ResNet-18 on 32 x 32 images, two shards of 32, medians, and their ratio. The
# machine should have nothing else to do.
#
#   scaling.sh BUILD-TREE [REPEATS [STEPS [NETWORK]]]
set -eu
program=$1/bench/bench_ranks
repeats=${2-5} steps=${3-12} network=${4-resnet18}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
speed() { sed 's/.*, \(.*\) images.*/\1/'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for turn in $(seq "$repeats"); do
    one=$("$program" "$network" 64 2 "$steps" 2 | speed)
    two=$(mpirun -n 2 "$program" "$network" 64 2 "$steps" 1 | speed)
    echo "$one" >>"$work/one"
    echo "$two" >>"$work/two"
    echo "turn $turn: 1 rank x 2 threads $one images/s, 2 ranks x 1 thread $two"
done
one=$(median "$work/one") two=$(median "$work/two")
echo "median: 1 rank x 2 threads $one images/s, 2 ranks x 1 thread $two, ratio" \
    "$(awk "BEGIN { printf \"%.3f\", $two / $one }")"
