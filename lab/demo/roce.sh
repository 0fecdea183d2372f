#!/bin/bash
# What `cargo xtask demo` shows of soft-RoCE, inside the lab: rxe0 on eth0 is the host's, rxe1 on eth1 goes to a container.
set -u

# shellcheck source=lab/demo/show.sh
. "$(dirname "$0")/show.sh"

# The index of the RoCE v2 GID of an IPv4 address: ibv_rc_pingpong has to be told. usage: gid_index DEVICE ADDRESS
# shellcheck disable=SC2016
gid_index='gid_index() {
    local gid; gid=$(printf "0000:0000:0000:0000:0000:ffff:%02x%02x:%02x%02x" ${2//./ })
    grep -lx "$gid" /sys/class/infiniband/"$1"/ports/1/gids/* | head -n 1 | sed "s|.*/||"
}'
export gid_index

title '1. The NICs of this host'
show 'nicdock ls'

title '2. A container with one of them sees that one, and nothing else'
show "nicdock run --nic rxe1 --host-root -- sh -c 'ls /sys/class/infiniband; ibv_devices; ip -br addr'"

title '3. RDMA between the host (rxe0, 10.77.1.1) and a container (rxe1, 10.77.1.2)'
started=/tmp/demo-started
# The container stays for a while after the transfer: step 4 is tried while it holds the NIC.
client="eval \"\$gid_index\"; ibv_rc_pingpong -d rxe1 -g \$(gid_index rxe1 10.77.1.2) -n 100 10.77.1.1; touch $started; sleep 15"
eval "$gid_index"
printf '$ ibv_rc_pingpong -d rxe0 -g %s -n 100 &\n' "$(gid_index rxe0 10.77.1.1)"
ibv_rc_pingpong -d rxe0 -g "$(gid_index rxe0 10.77.1.1)" -n 100 >/tmp/server.log 2>&1 &
server=$!
printf '$ nicdock run --nic rxe1 --ip 10.77.1.2/24 --host-root -- ibv_rc_pingpong -d rxe1 -g N -n 100 10.77.1.1\n'
nicdock run --nic rxe1 --ip 10.77.1.2/24 --host-root --env gid_index="$gid_index" -- bash -c "$client" >/tmp/client.log 2>&1 &
container=$!
wait $server
server_status=$?
sed 's/^/host:      /' /tmp/server.log
sed 's/^/container: /' /tmp/client.log

title '4. Who wants the same NIC meanwhile is refused'
show "nicdock run --nic rxe1 --host-root -- true; echo \"exit status \$?\""

title '5. The container ends; the NIC is back as it was'
wait $container
container_status=$?
sleep 1 # the kernel tells of a link's new state up to a second late (net/core/link_watch.c)
show 'ip -br addr; rdma link'
show 'nicdock ls'

[ $server_status = 0 ] && [ $container_status = 0 ]
