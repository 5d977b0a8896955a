#!/bin/sh
# Exported models are valid ONNX, and onnxruntime computes what convnet does (onnx_export.py), also of
# networks with several inputs and outputs (onnx_ports.py). The Python is CONVNET_PYTHON, else
# python3, where it has onnx, onnxruntime and numpy; where it has not, the test says so and is skipped
# (tests/test_onnx_graph.c looks at the files without them).
#
#   test_onnx_export.sh SOURCE-TREE BUILD-TREE
set -eu
source_tree=$1 build_tree=$2

python=''
for candidate in ${CONVNET_PYTHON:-python3 /usr/bin/python3}; do
    if [ -z "$python" ] && "$candidate" -c 'import numpy, onnx, onnxruntime' 2>/dev/null; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "skipped: no onnx and onnxruntime in ${CONVNET_PYTHON:-python3 or /usr/bin/python3}"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PYTHONDONTWRITEBYTECODE=1
"$python" "$source_tree/tests/onnx_export.py" "$build_tree/convnet" "$work"
"$python" "$source_tree/tests/onnx_ports.py" "$build_tree/convnet" "$work"
