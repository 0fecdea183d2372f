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
# Where ibv_rc_pingpong's server listens.
port=18515

title '1. The NICs of this host'
show 'nicdock ls'

title '2. A container with one of them sees that one, and nothing else'
show "nicdock run --nic rxe1 --host-root -- sh -c 'ls /sys/class/infiniband; ibv_devices; ip -br addr'"

title '3. RDMA between the host (rxe0, 10.77.1.1) and a container (rxe1, 10.77.1.2)'
# The container stays after the transfer, until it is given a line: step 4 is tried while it holds the NIC.
client="eval \"\$gid_index\"; timeout 120 ibv_rc_pingpong -d rxe1 -g \$(gid_index rxe1 10.77.1.2) -n 100 10.77.1.1; status=\$?; echo \"exit status \$status\"; read -r line; exit \$status"
eval "$gid_index"
index=$(gid_index rxe0 10.77.1.1)
printf '$ ibv_rc_pingpong -d rxe0 -g %s -n 100 &\n' "$index"
timeout 120 ibv_rc_pingpong -d rxe0 -g "$index" -n 100 >/tmp/server.log 2>&1 &
server=$!
await 'the server listens' listens $$ $port
printf '$ nicdock run --nic rxe1 --ip 10.77.1.2/24 --host-root -- ibv_rc_pingpong -d rxe1 -g N -n 100 10.77.1.1\n'
mkfifo /tmp/hold
exec 9<>/tmp/hold
nicdock run --nic rxe1 --ip 10.77.1.2/24 --host-root --env gid_index="$gid_index" -- bash -c "$client" </tmp/hold >/tmp/client.log 2>&1 &
container=$!
wait $server || fail 'the server of the pingpong'
await 'the client has said its results' grep -q '^exit status 0' /tmp/client.log
sed 's/^/host:      /' /tmp/server.log
sed 's/^/container: /' /tmp/client.log

title '4. Who wants the same NIC meanwhile is refused'
show "nicdock run --nic rxe1 --host-root -- true; echo \"exit status \$?\""

title '5. The container ends; the NIC is back as it was'
echo >&9
wait $container || fail 'the client of the pingpong'
await 'the link is back' is_up eth1
show 'ip -br addr; rdma link'
show 'nicdock ls'
