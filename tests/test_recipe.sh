#!/bin/sh
# The recipe for CIFAR-10, cut short: 900 images and three epochs, where the data lies beside the
# source tree (see test_readme.sh). The loss must fall as it did when the recipe was made; another
# instruction set rounds otherwise, which over these steps makes less than the 5 % that are allowed.
#
#   test_recipe.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$(cd "$1" && pwd) build_tree=$(cd "$2" && pwd)
cifar=${CONVNET_SHARED-$source_tree/../shared}/data/cifar-10
if [ ! -d "$cifar" ]; then
    echo "skipped: no $cifar (CONVNET_SHARED names the folder above data/)"
    exit 77
fi
if ! grep -q '^CMAKE_BUILD_TYPE:.*=Release' "$build_tree/CMakeCache.txt"; then
    echo "skipped: too slow in any build but a release"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cut FILE: its first 200 records of 3,073 bytes.
cut_short() {
    xz -dc "$cifar/$1.bin.xz" 2>/dev/null | head -c 614600 >"$work/$2.bin"
}
for i in 1 2 3 4 5; do cut_short "data_batch_$i" "data_batch_$i"; done
cut_short test_batch_first1000 test_batch

"$build_tree/convnet" train --data "cifar10:$work" --recipe cifar10 --epochs 3 --batch 100 \
    --rate 0.3 --seed 1 --quiet --json --out "$work/model.safetensors" >"$work/curve"
cat "$work/curve"
sed -n 's/.*"train_loss":\([0-9.]*\).*/\1/p' "$work/curve" >"$work/losses"
printf '%s\n' 2.227 1.959 1.749 >"$work/expected"
paste "$work/losses" "$work/expected" | awk '
    { off = $1 / $2 - 1; if (off < 0) off = -off }
    NF != 2 || off > 0.05 { print "failed: epoch " NR ": loss " $1 ", expected " $2; bad = 1 }
    END { if (NR != 3) { print "failed: " NR " epochs, expected 3"; bad = 1 } exit bad }'
