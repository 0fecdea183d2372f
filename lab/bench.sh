#!/bin/bash
# What `cargo xtask bench` runs in the lab: a trivial container under crun and runc (which give it no NIC) and nicdock.
# usage: bench.sh XTASK
set -eu

bundle=/run/bench
mkdir -p $bundle/rootfs
cd $bundle
# The same root, the host's own, as nicdock --host-root.
mount --bind / rootfs
runc spec
jq '.process.terminal = false | .process.args = ["true"] | .root.readonly = true' config.json >config.new
mv config.new config.json

# A file of the RDMA device, read 2,000 times on the host and in the view: nanoseconds, and their ratio.
reads='i=0; s=$(date +%s%N); while [ $i -lt 2000 ]; do read -r x </sys/class/infiniband/rxe1/node_guid; i=$((i + 1)); done
    e=$(date +%s%N); echo $(((e - s) / 2000))'
for turn in 1 2 3; do
    host=$(sh -c "$reads")
    view=$(nicdock run --nic rxe1 --netdev keep --host-root -- sh -c "$reads")
    echo "reading a file: $host ns on the host, $view ns in the view ($((view * 100 / host)) %)"
done

# On 6.1 a soft-RoCE device does not survive the move of its netdev: the netdev stays.
exec "$1" compare --runs "${RUNS:-15}" \
    'crun=crun run bench-crun' \
    'runc=runc run bench-runc' \
    'nicdock=nicdock run --nic rxe1 --netdev keep --host-root -- true' \
    'nicdock, whole /sys=nicdock run --nic rxe1 --netdev keep --host-root --view off -- true'
