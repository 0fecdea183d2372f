#!/bin/bash
# What `cargo xtask demo` shows of usNIC, inside the lab: two Cisco VICs under the kernel's own drivers, a container each.
set -u
# shellcheck source=lab/demo/show.sh
. "$(dirname "$0")/show.sh"

# As if installed: nicdock, and libfabric with its own test programs, built with the usnic provider. Copies, for a container has
# a /tmp of its own, and this clone may be in the host's.
cp "$(command -v nicdock)" "$NICDOCK_LAB_LIBFABRIC"/bin/fi_{pingpong,info} /usr/local/bin || fail 'cannot install the programs'
cp -P "$NICDOCK_LAB_LIBFABRIC"/lib/libfabric.so* /usr/local/lib && ldconfig || fail 'cannot install libfabric'
pingpong='fi_pingpong -p usnic -e dgram -I 100 -S all'
# Where fi_pingpong's server listens.
port=47592

title '1. The NICs of this host'
show 'nicdock ls'

title '2. A container with one of them sees that one, can use it, and sees nothing else'
show "nicdock run --nic usnic_0 --user 1000 --host-root -- sh -c 'ls /sys/class/infiniband /dev/infiniband /sys/class/net; nicdock probe'"

title '3. Two containers with a VIC each, at user level, past the kernel'
nicdock run --nic usnic_0 --user 1000 --host-root -- fi_info -p usnic >/tmp/fi_info.log 2>&1 ||
    fail 'libfabric finds no usNIC in a container'
printf '$ nicdock run --name server --nic usnic_1 --ip 10.78.9.2/24 --user 1000 --host-root -- %s &\n' "$pingpong"
# shellcheck disable=SC2086
nicdock run --name server --nic usnic_1 --ip 10.78.9.2/24 --user 1000 --host-root -- timeout 120 $pingpong >/tmp/server.log 2>&1 &
server=$!
await 'the server listens' container_listens server $port
printf '$ nicdock run --name client --nic usnic_0 --ip 10.78.9.1/24 --user 1000 --host-root -- %s 10.78.9.2\n' "$pingpong"
# The client's container stays for step 4: until it is given a line.
mkfifo /tmp/hold
exec 9<>/tmp/hold
nicdock run --name client --nic usnic_0 --ip 10.78.9.1/24 --user 1000 --host-root -- \
    sh -c "timeout 120 $pingpong 10.78.9.2; status=\$?; echo \"exit status \$status\"; read -r line; exit \$status" </tmp/hold >/tmp/client.log 2>&1 &
container=$!
wait $server || fail 'the server of the pingpong'
await 'the client has said its results' grep -q '^exit status 0' /tmp/client.log
cat /tmp/client.log

title '4. Who wants the same NIC meanwhile is refused'
show "nicdock run --nic usnic_0 --host-root -- true; echo \"exit status \$?\""

title '5. The containers end; the NICs are back as they were'
echo >&9
wait $container || fail 'the client of the pingpong'
await 'the links are back' is_up vic0
await 'the links are back' is_up vic1
show 'nicdock ls --tree'
