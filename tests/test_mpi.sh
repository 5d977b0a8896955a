#!/bin/sh
# One training over MPI: any number of ranks writes the file that one process writes, also where a
# rank was killed on the way. The command is the build's own, or where that has no MPI, the one that
# the build makes for this test.
#
#   test_mpi.sh SOURCE-TREE BUILD-TREE
#
# LONG=1 also trains LeNet-5 on MNIST and ResNet-20 on CIFAR-10, kills 20 times instead of 2, and takes
# every number of ranks; what test_ranks.c shows for all of them costs a start of MPI each here.
set -eu
build_tree=$2
shared=${CONVNET_SHARED-$1/../shared}
convnet=$build_tree/convnet
alone=$convnet
if [ -x "$build_tree/tests/convnet_mpi" ]; then convnet=$build_tree/tests/convnet_mpi; fi
if ! command -v mpirun >/dev/null || ! ldd "$convnet" | grep -q libmpi; then
    echo "skipped: no MPI (script/bootstrap --mpi installs it)"
    exit 77
fi
if grep -q '^CMAKE_C_FLAGS:[A-Z]*=.*-fsanitize' "$build_tree/CMakeCache.txt"; then
    echo "skipped: MPI's libraries leak, which a sanitizer would report"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
exec >log # what the trainings print
# More ranks than processors, by root in a container: Open MPI wants to be told.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# What is far beyond what a training takes, on a machine that has more to do.
limit=1800 counts='2 3 8'
if [ -n "${LONG-}" ]; then limit=3600 counts='1 2 3 4 8'; fi
# ranks R ARGUMENT...: convnet train on so many ranks.
ranks() {
    count=$1
    shift
    timeout $limit mpirun -n "$count" "$convnet" train --seed 1 "$@"
}
same() {
    cmp "$1" "$2" || fail "$3"
}

# ---- the same file

everything='conv 8 3x3 same, batchnorm, relu, maxpool 2, dropout 0.1, dense classes'
set -- --epochs 2 --batch-size 32 --accumulate 2 --optimizer sgd --clip-norm 1 --average ema \
    --augment 'crop=1 mixup=0.4' --keep best
"$alone" train --quiet --seed 1 --shards 8 --model "$everything" "$@" --out alone.safetensors
for count in $counts; do
    ranks "$count" --quiet --threads $((count % 2 + 1)) --model "$everything" "$@" \
        --out ranks.safetensors
    same alone.safetensors ranks.safetensors "$count ranks: another file"
done

set -- --epochs 1 --batch-size 32 --model "$everything" --sync-batch-norm
"$alone" train --quiet --seed 1 --shards 8 "$@" --out alone.safetensors
ranks 4 --quiet "$@" --out ranks.safetensors
same alone.safetensors ranks.safetensors "synchronized batch norms on 4 ranks: another file"

# ---- one voice

ranks 3 --epochs 2 --json --out ranks.safetensors >events 2>messages
[ "$(grep -c '"event":"epoch"' events)" = 2 ] || fail "not one line per epoch: $(cat events)"
[ "$(grep -c '"event":"done"' events)" = 1 ] || fail "not one end: $(cat events)"
grep -q 'cut into 8 shards.*; 3 ranks on 1 host, [0-9]* threads\{0,1\} each' messages ||
    fail "the plan does not tell the ranks: $(cat messages)"
timeout $limit mpirun -n 3 "$convnet" evaluate ranks.safetensors --json |
    sed 's/"seconds":[^}]*//' >ranks.json
"$alone" evaluate ranks.safetensors --json | sed 's/"seconds":[^}]*//' >alone.json
same alone.json ranks.json "evaluate on 3 ranks finds something else"

# ---- errors, once, by the rank that has them

refused() {
    wanted=$1
    shift
    if "$@" >out 2>err; then fail "not refused: $*"; fi
    [ "$(grep -c "$wanted" err)" = 1 ] || fail "expected one \"$wanted\", found: $(cat err)"
}
refused '9 ranks share out 8 shards' ranks 9 --epochs 1 --out x.safetensors
refused 'a batch of 12 cannot be cut into 8 shards' ranks 2 --batch-size 12 --out x.safetensors
refused '/nowhere' ranks 2 --data mnist:/nowhere --out x.safetensors
# Another build: this one with another digest of its sources.
digest=$(sed -n 's/^ *"\([0-9a-f]\{64\}\)";$/\1/p' "$build_tree/embedded/source_digest.c")
sed "s/$digest/$(echo "$digest" | tr 0-9a-f 1-9a-f0)/" "$convnet" >another
chmod +x another
refused "rank 1 does not begin like rank 0: the library's sources" \
    timeout $limit mpirun -n 1 "$convnet" train --out x.safetensors : -n 1 ./another train --out x.safetensors
refused 'rank 1 does not begin like rank 0: the instruction set' \
    timeout $limit mpirun -n 1 "$convnet" train --out x.safetensors : \
    -n 1 env CONVNET_ISA=scalar "$convnet" train --out x.safetensors
[ ! -e x.safetensors ] || fail "a refused training wrote its model"

# ---- larger than memory, and a file that vanishes

mkdir -p set/a set/b
for i in 0 1 2 3 4 5 6 7 8 9; do
    for j in 0 1 2 3; do
        printf 'P2 4 4 255 %d %d %d %d 9 9 9 9 9 9 9 9 9 %d %d 9\n' $i $j $j 30 $i $j >set/a/$i$j.pgm
        printf 'P2 4 4 255 %d %d %d %d 7 7 7 7 7 7 7 7 7 %d %d 7\n' 90 $i $j $i $j $i >set/b/$i$j.pgm
    done
done
small='conv 2 3x3 same, batchnorm, relu, dense classes'
set -- --data set --model "$small" --batch-size 16 --augment crop=1
"$alone" train --quiet --seed 1 --shards 8 "$@" --epochs 3 --out alone.safetensors
ranks 2 --quiet "$@" --epochs 3 --memory 1 --out ranks.safetensors
same alone.safetensors ranks.safetensors "read while training: another file"

"$alone" train --quiet --seed 1 --shards 8 "$@" --epochs 400 --out whole.safetensors
# Once more where a busy machine let the training end before the files were gone.
for trial in $(seq 20); do
    rm -f c.safetensors gone.safetensors
    timeout $limit mpirun -n 2 "$convnet" train --quiet --seed 1 "$@" --epochs 400 --memory 1 \
        --checkpoint c.safetensors --checkpoint-every '3 steps' --out gone.safetensors >gone.log 2>&1 &
    job=$!
    while [ ! -e c.safetensors ] && kill -0 $job 2>/dev/null; do sleep 0.05; done
    mv set/b/3?.pgm .
    wait $job || break
    mv 3?.pgm set/b
    [ "$trial" != 20 ] || fail "a training whose files are gone ends well"
done
[ "$(grep -c 'set/b/3[0-3].pgm: cannot be opened' gone.log)" = 1 ] ||
    fail "expected one error, found: $(cat gone.log)"
[ ! -e gone.safetensors ] || fail "a training whose files are gone wrote its model"
mv 3?.pgm set/b
"$alone" train --quiet --resume c.safetensors --out gone.safetensors
same whole.safetensors gone.safetensors "files gone, and back: another file"

# ---- without MPI

if [ "$alone" != "$convnet" ]; then
    ldd "$build_tree/libconvnet.so" | grep -q libmpi && fail "a library without MPI links it"
    timeout $limit mpirun -n 2 "$alone" train --out x.safetensors >out 2>err && fail "two ranks without MPI"
    grep -q 'built without MPI' err || fail "no word of MPI: $(cat err)"
fi
if command -v strace >/dev/null; then
    strace -f -o calls "$convnet" train --quiet --epochs 1 --out x.safetensors
    grep -q 'mca_' calls && fail "a training of one process initializes MPI"
fi

# ---- killed, and gone on with by others

epochs=100 # two seconds, of which a kill is in the first; on a busy machine it may come too late
# training R: in the background, its mpirun is $job; returns once there is a checkpoint.
training() {
    rm -f c.safetensors killed.safetensors
    timeout $limit mpirun -n "$1" "$convnet" train --quiet --seed 1 --epochs $epochs \
        --model "$everything" --checkpoint c.safetensors --checkpoint-every '3 steps' \
        --out killed.safetensors >killed.log 2>&1 &
    job=$!
    while [ ! -e c.safetensors ] && kill -0 $job 2>/dev/null; do sleep 0.05; done
}
# The ranks: below timeout and mpirun, and with MPICH a proxy, those that have no children. None once
# the training is over, and the launcher alone is left.
victims() (
    below() {
        children=$(pgrep -P "$1") || { pgrep -P "$2" convnet | grep -x "$1" || true; }
        for child in $children; do below "$child" "$1"; done
    }
    below $job $$
)
"$alone" train --quiet --seed 1 --shards 8 --epochs $epochs --model "$everything" \
    --out whole.safetensors
kills=2 killed=0
if [ -n "${LONG-}" ]; then kills=20; fi
for i in $(seq $((kills + 20))); do
    if [ "$i" -gt $kills ] && [ $killed -gt 0 ]; then break; fi
    training $((i % 3 + 2))
    sleep "0.$((i * 7 % 10))"
    victim=$(victims | head -n $((i % 2 + 1)) | tail -n 1)
    if [ -n "$victim" ] && kill -9 "$victim"; then killed=$((killed + 1)); fi
    if ! wait $job; then
        grep -qiE 'signal:? 9' killed.log || fail "no word of the kill: $(cat killed.log)"
    fi
    ranks $(((i + 1) % 4 + 1)) --quiet --resume c.safetensors --out killed.safetensors
    same whole.safetensors killed.safetensors "killed and gone on with: another file"
done
[ $killed -gt 0 ] || fail "every training was over before it could be killed"

# ---- interrupted

# Open MPI waits for so many seconds, then kills. Once more where a busy machine let the training end
# before it was interrupted, or be killed before it could answer.
export OMPI_MCA_odls_base_sigkill_timeout=3
for trial in $(seq 20); do
    training 2
    launcher=$(pgrep -P $job || true)
    if [ -n "$launcher" ]; then kill -INT "$launcher" || true; fi
    if ! wait $job && grep -q 'Go on with' killed.log; then break; fi
    [ "$trial" != 20 ] || fail "the interrupt did not stop the training with a word of how to go on: $(cat killed.log)"
done
ranks 3 --quiet --resume c.safetensors --out stopped.safetensors
same whole.safetensors stopped.safetensors "interrupted and gone on with: another file"

if [ -z "${LONG-}" ]; then exit 0; fi

# ---- real data

for data in "mnist:$shared/data/mnist lenet5" "cifar10:$shared/data/cifar-10 resnet20"; do
    set -- "${data% *}" "${data#* }"
    [ -d "${1#*:}" ] || continue
    "$alone" train --quiet --seed 1 --shards 8 --epochs 1 --data "$1" --model "$2" --out alone.safetensors
    for count in $counts; do
        ranks "$count" --quiet --epochs 1 --data "$1" --model "$2" --out ranks.safetensors
        same alone.safetensors ranks.safetensors "$2 on $count ranks: another file"
    done
done
