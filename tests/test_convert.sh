#!/usr/bin/env bash
# `convnet run` and `convnet convert` as their users meet them.
#
#   test_convert.sh SOURCE_DIR BUILD_DIR
set -u

convnet=$(cd "$2" && pwd)/convnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export LC_ALL=C

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}
succeeds() { "$convnet" "$@" >out.txt 2>err.txt || fail "convnet $*: $(cat err.txt)"; }
# fails STATUS TEXT ARGUMENT...
fails() {
    local expected=$1 text=$2 status
    shift 2
    "$convnet" "$@" >out.txt 2>err.txt
    status=$?
    [ $status = "$expected" ] || fail "convnet $*: exit status $status, expected $expected"
    [[ $(cat err.txt) == *"$text"* ]] || fail "convnet $*: said \"$(cat err.txt)\", not \"$text\""
}

# npy SHAPE VALUE...: an array of bytes, in NumPy's format, on standard output.
npy() {
    local header="{'descr': '|u1', 'fortran_order': False, 'shape': ($1), }" value
    shift
    printf '\223NUMPY\1\0'
    printf "\\$(printf %o $((${#header} + 1)))\\0%s\n" "$header"
    for value in "$@"; do printf %b "\\0$(printf %03o "$value")"; done
}
# The floats of a .npy file that NumPy's version 1.0 header of 118 bytes begins.
floats() { tail -c +129 "$1" | od -An -v -tf4 | tr -s ' \n' ' '; }

numbers() {
    npy '1, 2, 3, 1' 0 1 2 3 4 5 >x.npy
    npy '2, 1, 2, 2' 0 1 2 3 10 20 30 40 >y.npy
    # Two channels: the numbers that make of either layout the other.
    succeeds run "scale 2, relu, crop 0x0x0x1, flatten, softmax" --help
    succeeds convert "scale 2, relu" s.safetensors --shape 2x3x1
    fails 1 "x.npy: shape (1, 2, 3, 1), expected (m, 28, 28, 1)" run lenet5 x.npy --out z.npy
    fails 1 "x.npy: shape (1, 2, 3, 1), expected (m, 1, 2, 3): it is --layout nhwc" \
        run s.safetensors x.npy --layout nchw --out z.npy
    succeeds convert "zeropad 0" two.safetensors --shape 1x2x2
    succeeds run two.safetensors y.npy --out z.npy
    # A softmax ends it: of each pixel's two channels.
    [ "$(floats z.npy | wc -w)" = 8 ] || fail "two.safetensors: $(floats z.npy)"
    succeeds run two.safetensors --input input=y.npy --batch-size 1 --out w.npy
    cmp -s z.npy w.npy || fail "a batch of 1 gives other numbers"
    fails 1 'the model has no input "image", only input (m, 1, 2, 2)' \
        run two.safetensors --input image=y.npy --out w.npy
    fails 2 "--out is required" run two.safetensors y.npy
    fails 2 "expected an input" run two.safetensors --out w.npy
    fails 1 "none.npy" run two.safetensors none.npy --out w.npy
}

# field NUMBER BYTES: a field of a protobuf message, none of whose bytes is 0.
field() {
    local length=${#2} tag
    tag=$(printf %02x $(($1 << 3 | 2)))
    printf %b "\\x$tag"
    if [ "$length" -ge 128 ]; then
        printf %b "\\x$(printf %02x $((length & 127 | 128)))"
        length=$((length >> 7))
    fi
    printf '%b%s' "\\x$(printf %02x "$length")" "$2"
}
# node OP OUTPUT INPUT..., port NUMBER NAME: of a graph; a port is (m, 3).
node() {
    local inputs=''
    for input in "${@:3}"; do inputs+=$(field 1 "$input"); done
    field 1 "$inputs$(field 2 "$2")$(field 4 "$1")"
}
port() {
    local shape
    shape=$(field 1 "$(field 2 m)")$(field 1 $'\x08\x03')
    field "$1" "$(field 1 "$2")$(field 2 "$(field 1 $'\x08\x01'"$(field 2 "$shape")")")"
}

several() {
    local graph
    graph=$(node Add sum left right)$(node Relu positive left)
    graph+=$(port 11 left)$(port 11 right)$(port 12 sum)$(port 12 positive)
    printf '\x08\x0a%s%s' "$(field 8 $'\x10\x12')" "$(field 7 "$graph")" >two.onnx
    npy '2, 3' 1 2 3 4 5 6 >left.npy
    npy '2, 3' 10 20 30 40 50 60 >right.npy
    npy '1, 3' 1 2 3 >short.npy
    npy '2, 4' 1 2 3 4 5 6 7 8 >wide.npy
    succeeds run two.onnx left=left.npy --input right=right.npy --out all.npz
    succeeds run two.onnx right=right.npy left=left.npy --output sum --out sum.npy
    [ "$(floats sum.npy)" = " 11 22 33 44 55 66 " ] || fail "sum: $(floats sum.npy)"
    succeeds run two.onnx right=right.npy left=left.npy --output positive --out positive.npy
    [ "$(floats positive.npy)" = " 1 2 3 4 5 6 " ] || fail "positive: $(floats positive.npy)"
    for name in sum positive; do
        grep -aq "$name.npy" all.npz || fail "all.npz: no output $name"
    done
    fails 1 "input right is missing: the model has left (m, 3), right (m, 3)" \
        run two.onnx left=left.npy --out all.npz
    fails 1 'no input "up", only left (m, 3), right (m, 3)' \
        run two.onnx up=left.npy right=right.npy --out all.npz
    fails 1 "input left is given twice: left.npy and wide.npy" \
        run two.onnx left=left.npy left=wide.npy --out all.npz
    fails 1 "left.npy: for which input? Expected NAME=FILE of left (m, 3), right (m, 3)" \
        run two.onnx left.npy right.npy --out all.npz
    fails 1 "wide.npy: shape (2, 4), expected (m, 3)" \
        run two.onnx left=left.npy right=wide.npy --out all.npz
    fails 1 "short.npy: 1 examples, but the other inputs have 2" \
        run two.onnx left=left.npy right=short.npy --out all.npz
    fails 1 "y.npy: one array for the outputs sum, positive; expected a name that ends in .npz" \
        run two.onnx left=left.npy right=right.npy --out y.npy
    fails 1 'no output "product", only sum, positive' \
        run two.onnx left=left.npy right=right.npy --output product --out y.npy
    succeeds convert two.onnx again.onnx --verify --input left=left.npy --input right=right.npy
    grep -q "at most 0.0e+00" out.txt || fail "two.onnx, verified: $(cat out.txt)"
    cmp -s <(grep -ao "left\|right\|sum\|positive" two.onnx | sort -u) \
        <(grep -ao "left\|right\|sum\|positive" again.onnx | sort -u) || fail "again.onnx: names"
    succeeds convert two.onnx one.safetensors --output positive --verify
    fails 1 "y.npy: one array" run two.onnx left=left.npy right=right.npy --out y.npy
    succeeds run one.safetensors left=left.npy right=right.npy --out y.npy
    cmp -s positive.npy y.npy || fail "one.safetensors gives other numbers"
    succeeds summary two.onnx
    grep -qx "inputs   left 3, right 3" out.txt || fail "summary two.onnx: $(cat out.txt)"
    grep -qx "outputs  sum 3, positive 3" out.txt || fail "summary two.onnx: $(cat out.txt)"
    succeeds summary two.onnx --json
    grep -q '"inputs": *\[{"name": *"left", *"shape": *\[3\]}' out.txt || fail "$(cat out.txt)"
    for command in "evaluate two.onnx --data digits" "train --model two.onnx --data digits" \
        "train --from two.onnx --data digits" "predict two.onnx x.npy" "explain two.onnx" \
        "report two.onnx --data digits"; do
        # shellcheck disable=SC2086 # words
        fails 1 "2 inputs (left, right), expected one" $command
    done
}

# Relu of an image (n, 1, h, w) in ONNX, whose h and w are open.
open_sizes() {
    {
        printf '\010\011:P\012\014\012\001x\022\001y\042\004Relu\022\000'
        printf 'Z\036\012\001x\022\031\012\027\010\001\022\023\012\003\022\001n'
        printf '\012\002\010\001\012\003\022\001h\012\003\022\001w'
        printf 'b\036\012\001y\022\031\012\027\010\001\022\023\012\003\022\001n'
        printf '\012\002\010\001\012\003\022\001h\012\003\022\001wB\004\012\000\020\022'
    } >open.onnx
    npy '2, 3, 2, 1' $(seq 12) >i.npy
    succeeds run open.onnx i.npy --out y.npy
    [ "$(floats y.npy)" = ' 1 2 3 4 5 6 7 8 9 10 11 12 ' ] || fail "run open.onnx: $(floats y.npy)"
    succeeds run open.onnx --input input=i.npy --out z.npy
    cmp -s y.npy z.npy || fail "run open.onnx --input: other numbers"
    succeeds run open.onnx i.npy --shape 3x2 --out z.npy
    fails 1 'i.npy: shape (2, 3, 2, 1), expected (m, 2, 3, 1)' run open.onnx i.npy --shape 2x3 \
        --out z.npy
    fails 1 'input x: axis 2 ("h") has no fixed size: expected the shape (n_H, n_W, n_C), as in --shape 224x224' \
        summary open.onnx
    succeeds summary open.onnx --shape 5x4
    grep -q '5 x 4 x 1' out.txt || fail "summary --shape: $(cat out.txt)"
    succeeds gradcheck --model open.onnx --shape 5x4x1
    succeeds convert open.onnx fixed.onnx --shape x=3x2 --verify
    succeeds run fixed.onnx i.npy --shape 3x2x1 --out z.npy
    cmp -s y.npy z.npy || fail "run fixed.onnx: other numbers"
    fails 1 'fixed.onnx: input input: n_W is 2, not 3' summary fixed.onnx --shape 3x3
    fails 1 'open.onnx: no input is called image' summary open.onnx --shape image=3x3
    fails 1 'one input, which has no name' summary lenet5 --shape image=32x32x1
    fails 1 'fixed size' predict open.onnx i.npy
}

formats() {
    succeeds convert digits d.safetensors --seed 4
    succeeds convert d.safetensors e.safetensors
    cmp -s d.safetensors e.safetensors || fail "a model file is another one after a conversion"
    succeeds convert d.safetensors d.onnx
    succeeds convert d.safetensors e.onnx
    cmp -s d.onnx e.onnx || fail "the same model, exported twice, differs"
    # NumPy's arrays with the graph beside them are a model, too.
    succeeds convert d.safetensors d.npz --verify
    succeeds convert d.npz f.safetensors
    cmp -s d.safetensors f.safetensors || fail "a model in NPZ is another one"
    succeeds convert d.npz g.npz
    cmp -s d.npz g.npz || fail "the same model in NPZ, written twice, differs"
    npy '1, 8, 8, 1' $(seq 64) >i.npy
    succeeds run d.npz i.npy --out p.npz
    [ "$(head -c 43 p.npz | tail -c 13)" = softmax_1.npy ] || fail "p.npz does not begin with its name"
    head -c 3000 d.npz >cut.npz
    fails 1 "cut.npz" summary cut.npz
    fails 1 'p.npz: holds no model: expected an array "convnet"' summary p.npz
    fails 1 "d.xyz: a model is not written in this format" convert d.safetensors d.xyz
    fails 1 "the model has no normalization" convert d.safetensors n.onnx --normalize
    [ ! -e n.onnx ] || fail "n.onnx is there"
}

verified() {
    succeeds convert digits d.safetensors --seed 4
    succeeds convert d.safetensors v.onnx --verify
    grep -qx 'v.onnx: outputs differ by at most 0.0e+00 of their range' out.txt || fail "$(cat out.txt)"
    succeeds convert d.safetensors v.safetensors --verify --json
    grep -qx '{"file":"v.safetensors","difference":0.0}' out.txt || fail "$(cat out.txt)"
    npy '1, 8, 8, 1' $(seq 64) >x.npy
    succeeds convert d.safetensors v.onnx --verify --input x.npy
    fails 1 "none.npy" convert d.safetensors v.onnx --verify --input none.npy
}

# What a training writes is in the format that its name says.
trained() {
    succeeds train --epochs 1 --quiet --out t.safetensors
    for ending in onnx npz; do
        succeeds convert t.safetensors w.$ending
        succeeds train --epochs 1 --quiet --out t.$ending
        cmp -s t.$ending w.$ending || fail "train --out t.$ending writes another file than convert"
    done
    fails 1 "t.weights.h5: files for Keras are made by" train --out t.weights.h5
    fails 1 "c.onnx: a checkpoint is a .safetensors file" train --checkpoint c.onnx
}

numbers
several
open_sizes
formats
verified
trained
[ $failures = 0 ]
