#!/bin/sh
# Two ranks in two network namespaces, with a link of so many Mbit/s between them: seconds per step
# while gradients travel during backward, and while they wait for its end, turn by turn. Beside them
# the same without a link, by shared memory. Root makes the namespaces (ip, tc), which go in the end.
#
#   link.sh BUILD-TREE [MBIT [BATCH [REPEATS [STEPS [NETWORK]]]]]
set -eu
program=$(cd "$1" && pwd)/bench/bench_ranks
rate=${2-1000} batch=${3-16} repeats=${4-3} steps=${5-12} network=${6-resnet18}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=none

work=$(mktemp -d)
a=convnet-$$-a b=convnet-$$-b
finish() {
    ip netns del $a 2>/dev/null || true
    ip netns del $b 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 1' INT TERM
ip netns add $a
ip netns add $b
ip link add a0 netns $a type veth peer name b0 netns $b
ip -n $a addr add 10.99.0.1/24 dev a0
ip -n $b addr add 10.99.0.2/24 dev b0
for end in "$a a0" "$b b0"; do
    ip -n "${end% *}" link set lo up
    ip -n "${end% *}" link set "${end#* }" up
    ip netns exec "${end% *}" tc qdisc add dev "${end#* }" root tbf rate "${rate}mbit" \
        burst 256kb latency 100ms
done

# What mpirun starts the other rank's daemon by, in place of ssh: the other namespace, with a name of
# its own, so that the ranks do not take each other for neighbors.
cat >"$work/agent" <<END
#!/bin/sh
shift
exec ip netns exec $b unshare --uts sh -c "hostname other; \$*"
END
chmod +x "$work/agent"
over_link() {
    ip netns exec $a mpirun --host 10.99.0.1,10.99.0.2 -n 2 --bind-to none \
        --mca plm_rsh_agent "$work/agent" --mca btl tcp,self --mca pml ob1 \
        --mca btl_tcp_if_include 10.99.0.0/24 --mca oob_tcp_if_include 10.99.0.0/24 "$@"
}
seconds() { sed 's/ s per step.*//'; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for turn in $(seq "$repeats"); do
    over_link "$program" "$network" "$batch" 2 "$steps" 1 | seconds >>"$work/overlaps"
    over_link "$program" "$network" "$batch" 2 "$steps" 1 waits | seconds >>"$work/waits"
    mpirun -n 2 --bind-to none "$program" "$network" "$batch" 2 "$steps" 1 | seconds >>"$work/none"
    echo "turn $turn: with overlap $(tail -n 1 "$work/overlaps") s per step," \
        "without $(tail -n 1 "$work/waits") s, without the link $(tail -n 1 "$work/none") s"
done
echo "median: with overlap $(median "$work/overlaps") s per step," \
    "without $(median "$work/waits") s, without the link $(median "$work/none") s"
