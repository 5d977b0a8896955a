#!/usr/bin/env bash
# Trainings that are stopped, interrupted and killed, and go on: at the end stands the file of one
# that never stopped, byte for byte.
#
#   test_resume.sh SOURCE_DIR BUILD_DIR
set -u

convnet=$(cd "$2" && pwd)/convnet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
unset OMP_NUM_THREADS CONVNET_ISA
export LC_ALL=C

failures=0
fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# What is trained: small enough to be killed often, and with everything that a step may depend on.
# A sanitizer makes a third of the steps take longer still.
epochs=60
if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "${convnet%/*}/CMakeCache.txt"; then epochs=20; fi
recipe=(--model "conv 8 3x3 same, relu, maxpool 2, dense 32, relu, dense classes" --epochs "$epochs"
    --batch 8 --seed 3 --augment "flip crop=1")

"$convnet" train "${recipe[@]}" --quiet --out whole.safetensors >/dev/null || fail "training"
same() { cmp -s "$1" whole.safetensors || fail "$2: another model than that of one run"; }

# Checkpoints change nothing, with any number of threads.
for threads in 1 2 3 4; do
    "$convnet" train "${recipe[@]}" --quiet --threads $threads --out t.safetensors \
        --checkpoint t.checkpoint --checkpoint-every "333 steps" >/dev/null || fail "checkpoints"
    same t.safetensors "$threads threads, checkpoints"
done

# A finished training that goes on has nothing left to do but to write its model.
rm t.safetensors
"$convnet" train --resume t.checkpoint --quiet >/dev/null || fail "resuming at the end"
same t.safetensors "resumed at the end"

# A checkpoint is a model.
"$convnet" evaluate t.checkpoint --quiet >/dev/null || fail "evaluating a checkpoint"
"$convnet" evaluate t.checkpoint --json | sed 's/.*"test_accuracy"/"test_accuracy"/; s/"seconds".*//' >a.txt
"$convnet" evaluate t.safetensors --json | sed 's/.*"test_accuracy"/"test_accuracy"/; s/"seconds".*//' >b.txt
cmp -s a.txt b.txt || fail "the checkpoint is another model"

# start_and_signal SIGNAL SECONDS FILE ARGUMENT...: a training in the background, which gets the
# signal so many seconds after there is the file, however long that takes; its exit status.
start_and_signal() {
    local signal=$1 seconds=$2 file=$3 pid
    shift 3
    set -m # a shell without job control starts children that ignore SIGINT
    "$convnet" train "$@" --quiet >out.txt 2>err.txt &
    pid=$!
    set +m
    while [ ! -e "$file" ] && kill -0 $pid 2>/dev/null; do sleep 0.01; done
    sleep "$seconds"
    kill -s "$signal" $pid 2>/dev/null
    wait $pid 2>/dev/null
}

# Ctrl-C says how to go on, and that is what is done. Slow enough to be caught in the middle; once more
# where a busy machine let the training end before it let this script go on.
for _ in $(seq 20); do
    rm -f i.safetensors "it's.checkpoint"
    start_and_signal INT 0 "it's.checkpoint" "${recipe[@]}" --checkpoint "it's.checkpoint" \
        --checkpoint-every "1 steps" --out i.safetensors --threads 1
    status=$?
    [ $status = 0 ] || break
done
if [ "$status" = 130 ]; then
    [ ! -e i.safetensors ] || fail "an interrupted training wrote its model, too"
    command=$(tail -1 err.txt)
    [ "$command" = "  convnet train --resume 'it'\''s.checkpoint'" ] || fail "Ctrl-C said $command"
    convnet() { "$convnet" "$@"; }
    eval "$command --quiet --threads 3 --checkpoint-every 20" >/dev/null || fail "going on: $command"
else
    fail "Ctrl-C: exit status $status: $(cat err.txt)"
fi
same i.safetensors "interrupted, then resumed"

# Killed again and again at any instant, also while a checkpoint is being written.
rm -f k.safetensors k.checkpoint
for round in $(seq 200); do
    goes_on=("${recipe[@]}" --checkpoint k.checkpoint --checkpoint-every "1 steps")
    [ -e k.checkpoint ] && goes_on=(--resume k.checkpoint)
    start_and_signal KILL 0.0$((RANDOM % 10)) k.checkpoint "${goes_on[@]}" --out k.safetensors \
        --threads $((RANDOM % 4 + 1)) && break
    if [ -e k.checkpoint ]; then
        "$convnet" summary k.checkpoint >/dev/null 2>err.txt || fail "killed: $(cat err.txt)"
    fi
    if [ "$round" = 15 ]; then # often enough
        "$convnet" train --resume k.checkpoint --out k.safetensors --quiet \
            --checkpoint-every 20 >/dev/null ||
            fail "going on after $round kills"
        break
    fi
done
same k.safetensors "killed $((round - 1)) times, then resumed"
[ "$(find . -name 'k.checkpoint.tmp-*')" = "" ] || fail "left $(ls)"

# What differs from the beginning is named, and the checkpoint stays as it is.
cksum <k.checkpoint >before.txt
refused() {
    local expected=$1
    shift
    "$convnet" train --resume k.checkpoint --quiet "$@" >out.txt 2>err.txt && fail "$*: accepted"
    grep -qF -- "$expected" err.txt || fail "$*: said $(cat err.txt), expected $expected"
    cksum <k.checkpoint | cmp -s - before.txt || fail "$*: changed the checkpoint"
}
refused "k.checkpoint: epochs: the training began with $epochs, found 7" --epochs 7
refused "k.checkpoint: batch: the training began with 8, found 16" --batch 16
refused "k.checkpoint: precision: the training began with \"f32\", found \"bf16\"" --precision bf16
refused "learning rate: the training began with 0.002, found 0.5" --rate 0.5
refused "k.checkpoint: training images: not those that the training began with" --valid 0.2
refused "leave --model out" --model lenet5
refused "a.txt" --resume a.txt
refused "t.safetensors: no checkpoint" --resume t.safetensors
refused "--checkpoint-every wants" --checkpoint-every often
head -c 3000 k.checkpoint >short.checkpoint
refused "short.checkpoint" --resume short.checkpoint
"$convnet" train --checkpoint-every 2 2>err.txt && fail "--checkpoint-every without a file"
grep -q "wants --checkpoint FILE" err.txt || fail "--checkpoint-every alone said $(cat err.txt)"

# A disk that is full: the training says so, goes on and ends well; the old checkpoint is whole.
mkdir full
cp k.checkpoint full/k.checkpoint
(
    ulimit -f 20 # blocks of 1 KiB: enough for the model, not for its moments
    "$convnet" train "${recipe[@]}" --quiet --out full.safetensors --checkpoint full/k.checkpoint \
        >/dev/null 2>err.txt
) || fail "full disk: $(cat err.txt)"
grep -q "full/k.checkpoint: cannot be written: File too large; the checkpoint before it is kept" \
    err.txt || fail "full disk: said $(cat err.txt)"
cmp -s k.checkpoint full/k.checkpoint || fail "full disk: the old checkpoint is not what it was"
[ "$(ls full)" = k.checkpoint ] || fail "full disk: left $(ls full)"
same full.safetensors "full disk"

[ "$failures" = 0 ]
