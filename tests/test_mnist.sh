#!/bin/sh
# examples/mnist.c: on the embedded digits, then one epoch on MNIST where that lies beside the source
# tree (see test_readme.sh). The model that it saves is one that the command can read.
#
#   test_mnist.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$(cd "$1" && pwd) build_tree=$(cd "$2" && pwd)
mnist=${CONVNET_SHARED-$source_tree/../shared}/data/mnist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# reaches PERCENT DATA ARGUMENT...: the example learns DATA, and evaluating its model finds the same.
reaches() {
    least=$1 data=$2
    shift 2
    "$build_tree/examples/mnist" "$@" >out.txt
    accuracy=$(sed -n 's/^test accuracy \(.*\) %$/\1/p' out.txt)
    if ! awk "BEGIN { exit !($accuracy + 0 >= $least) }"; then
        cat out.txt
        echo "failed: $data: test accuracy $accuracy %, expected at least $least %"
        exit 1
    fi
    "$build_tree/convnet" evaluate mnist.safetensors --data "$data" >evaluated.txt
    if ! grep -qF "$accuracy %" evaluated.txt; then
        cat evaluated.txt
        echo "failed: $data: convnet evaluate finds another accuracy than $accuracy %"
        exit 1
    fi
    echo "$data: test accuracy $accuracy %"
}

reaches 80 digits
if "$build_tree/examples/mnist" nowhere >out.txt 2>messages.txt; then
    echo "failed: a folder that is not there: no error"
    exit 1
fi
grep -q '^mnist: .*nowhere' messages.txt
if [ ! -d "$mnist" ]; then
    echo "skipped MNIST: no $mnist (CONVNET_SHARED names the folder above data/)"
elif ! grep -q '^CMAKE_C_FLAGS:.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    reaches 96 "mnist:$mnist" "$mnist" 1
fi
