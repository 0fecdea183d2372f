#!/bin/bash
# What `cargo xtask demo` shows of usNIC, inside the lab: two Cisco VICs under the kernel's own drivers, a container each.
set -u
# shellcheck source=lab/demo/show.sh
. "$(dirname "$0")/show.sh"

# As if installed: nicdock, and libfabric's own test program, built with the usnic provider.
cp "$(command -v nicdock)" /usr/local/bin
ln -s "$NICDOCK_LAB_LIBFABRIC/bin/fi_pingpong" /usr/local/bin
pingpong='fi_pingpong -p usnic -e dgram -I 100 -S all'

title '1. The NICs of this host'
show 'nicdock ls'

title '2. A container with one of them sees that one, can use it, and sees nothing else'
show "nicdock run --nic usnic_0 --user 1000 --host-root -- sh -c 'ls /sys/class/infiniband /dev/infiniband /sys/class/net; nicdock probe'"

title '3. Two containers with a VIC each, at user level, past the kernel'
printf '$ nicdock run --name server --nic usnic_1 --ip 10.78.9.2/24 --user 1000 --host-root -- %s &\n' "$pingpong"
# shellcheck disable=SC2086
nicdock run --name server --nic usnic_1 --ip 10.78.9.2/24 --user 1000 --host-root -- $pingpong >/tmp/server.log 2>&1 &
server=$!
until_running server
printf '$ nicdock run --name client --nic usnic_0 --ip 10.78.9.1/24 --user 1000 --host-root -- %s 10.78.9.2\n' "$pingpong"
# The server listens a moment after it was started; the client's container stays for step 4.
client="for i in \$(seq 50); do $pingpong 10.78.9.2 >/tmp/out 2>&1 && break; sleep 0.2; done; cat /tmp/out; sleep 8"
nicdock run --name client --nic usnic_0 --ip 10.78.9.1/24 --user 1000 --host-root -- sh -c "$client" >/tmp/client.log 2>&1 &
container=$!
wait $server
server_status=$?
cat /tmp/client.log

title '4. Who wants the same NIC meanwhile is refused'
show "nicdock run --nic usnic_0 --host-root -- true; echo \"exit status \$?\""

title '5. The containers end; the NICs are back as they were'
wait $container
container_status=$?
sleep 1 # the kernel tells of a link's new state up to a second late (net/core/link_watch.c)
show 'nicdock ls --tree'

[ $server_status = 0 ] && [ $container_status = 0 ] && grep -q '^1k ' /tmp/client.log
