#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves the virtual VIC in a guest with two of them (QEMU: vic1, vic2) and the qmp port. Ends with 0 only if every claim
# was proven.
#
#   guest.sh VIC-TEST VFS [LIBFABRIC-PREFIX]
#
# VIC-TEST is the program built from this directory, VFS how many VFs each VIC has.
set -eu

vic_test=$1 vfs=$2 libfabric=${3:-}
here=$(dirname "$(readlink -f "$0")")
knob=$here/../knob.sh
work=$(mktemp -d)
# MAC addresses as xtask's vic::mac() gives them
mac1=52:54:00:56:49:01 mac2=52:54:00:56:49:02
ip1=10.78.0.1 ip2=10.78.0.2

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

proven() {
	echo "proven: $*"
}

# until SECONDS COMMAND…: waits for it to succeed
until_true() {
	seconds=$1
	shift
	for _ in $(seq $((seconds * 10))); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	fail "not after $seconds s: $*"
}

netdev_of() {
	for address in /sys/class/net/*/address; do
		if [ "$(cat "$address")" = "$1" ]; then
			basename "$(dirname "$address")"
		fi
	done
}

rdma_of() {
	ls "/sys/class/net/$1/device/infiniband" 2>/dev/null
}

state_is() {
	case $(cat "/sys/class/infiniband/$1/ports/1/state") in
	*"$2"*) ;;
	*) return 1 ;;
	esac
}

use_vic() {
	ip address add "$2/24" dev "$1"
	ip link set "$1" up
	until_true 10 state_is "$(rdma_of "$1")" ACTIVE
}

queue_pairs_in_error() {
	! cat "/sys/class/infiniband/$1"/qpn/*/summary | grep -v "State: (ERR)"
}

# reads "WORD VALUE" from a program's output when it comes
said() {
	until_true 10 grep -q "^$2 " "$1"
	sed -n "s/^$2 //p" "$1"
}

gone() {
	! [ -e "$1" ]
}

# --- the stock drivers bind -------------------------------------------------------------------------------------------

modprobe -a enic ib_uverbs usnic_verbs
net1=$(netdev_of $mac1) net2=$(netdev_of $mac2)
until_true 10 rdma_of "$net1"
until_true 10 rdma_of "$net2"
rdma1=$(rdma_of "$net1") rdma2=$(rdma_of "$net2")
[ "$(cat "/sys/class/infiniband/$rdma1/max_vf")" = "$vfs" ] || fail "$rdma1 has $(cat "/sys/class/infiniband/$rdma1/config")"
proven "enic and usnic_verbs of $(uname -r) bind: $rdma1 on $net1, $rdma2 on $net2, $vfs VFs each"

use_vic "$net1" $ip1
use_vic "$net2" $ip2
"$vic_test" opens "$rdma1"

# --- the data path, which needs REG_MR --------------------------------------------------------------------------------

# Since 7.2 the stock driver dereferences NULL in REG_MR (../README.md): the data path ends here.
if [ "$(printf '%s\n' 7.2 "$(uname -r)" | sort -V | head -n 1)" = 7.2 ]; then
	data_path=no
	echo "skipped: the data path, since REG_MR is broken in this kernel's usnic_verbs"
else
	data_path=yes
	"$vic_test" vf-to-vf "$rdma1"
	"$vic_test" two-vics "$rdma1" "$rdma2"
	"$vic_test" iommu "$rdma1"
	"$vic_test" all-vfs "$rdma2" "$vfs"
fi

# --- knobs ------------------------------------------------------------------------------------------------------------

"$knob" vic1 link-up false
until_true 5 state_is "$rdma1" DOWN
"$vic_test" refused "$rdma1" 1
"$knob" vic1 link-up true
until_true 5 state_is "$rdma1" ACTIVE
proven "link-up takes the link away and gives it back"

"$knob" vic1 fail-devcmd 58
"$knob" vic1 fail-devcmd-error 10
"$vic_test" refused "$rdma1" 14
[ "$("$knob" vic1 fail-devcmd-error)" = 0 ] || fail "the fault did not fire"
"$vic_test" opens "$rdma1"
proven "fail-devcmd makes one command fail, and the next succeed"

if [ $data_path = yes ]; then
	mkfifo "$work/when"
	"$vic_test" goes-silent "$rdma1" <"$work/when" >"$work/silent" &
	exec 4>"$work/when"
	"$knob" vic1 reset-vf "$(said "$work/silent" vf)"
	echo now >&4
	wait $!
	exec 4>&-
	grep proven "$work/silent"

	rm "$work/silent"
	"$vic_test" goes-silent "$rdma1" <"$work/when" >"$work/silent" 2>/dev/null &
	running=$!
	exec 4>"$work/when"
	said "$work/silent" vf >/dev/null
	"$knob" vic1 link-up false
	until_true 5 queue_pairs_in_error "$rdma1"
	"$knob" vic1 link-up true
	until_true 5 state_is "$rdma1" ACTIVE
	queue_pairs_in_error "$rdma1" || fail "queue pairs came back with the link"
	kill $running
	wait $running || true
	exec 4>&-
	proven "a link that went down leaves a running program's queue pairs in error, also when it is back"
fi

[ "$("$knob" vic1 filters-used)" = 0 ] || fail "$("$knob" vic1 filters-used) filters are left"
proven "no filter stays when its program has ended"

# --- the wire ---------------------------------------------------------------------------------------------------------

ip netns add peer
ip link set "$net2" netns peer
ip -n peer address add $ip2/24 dev "$net2"
ip -n peer link set lo up
ip -n peer link set "$net2" up
ping -c 1 -w 10 $ip2 >"$work/ping" || fail "ping: $(cat "$work/ping")"
proven "the kernel's own traffic crosses from one VIC to the other"

if [ $data_path = yes ]; then
	"$vic_test" from-wire "$rdma1" >"$work/from-wire" &
	from_wire=$!
	port=$(said "$work/from-wire" port)
	ip netns exec peer "$vic_test" kernel-sends $ip2 $ip1 "$port" >/dev/null
	wait $from_wire
	grep proven "$work/from-wire"

	ip netns exec peer "$vic_test" kernel-receives $ip2 >"$work/receives" &
	receives=$!
	"$vic_test" to-wire "$rdma1" $ip2 "$(said "$work/receives" port)" $mac2
	wait $receives
	grep proven "$work/receives"
fi

# --- libfabric, one VIC a namespace -----------------------------------------------------------------------------------

if [ $data_path = yes ] && [ -n "$libfabric" ]; then
	ip netns add here
	ip link set "$net1" netns here
	ip -n here address add $ip1/24 dev "$net1"
	ip -n here link set lo up
	ip -n here link set "$net1" up
	until_true 10 state_is "$rdma1" ACTIVE
	until_true 10 state_is "$rdma2" ACTIVE

	ip netns exec here "$libfabric/bin/fi_info" -p usnic >"$work/info" || fail "fi_info: $(cat "$work/info")"
	[ "$(grep domain: "$work/info" | sort -u | tr -d ' ')" = "domain:$rdma1" ] || fail "fi_info: $(cat "$work/info")"
	proven "fi_info -p usnic lists $rdma1, whose netdev is in this namespace, and nothing else"

	ip netns exec peer "$libfabric/bin/fi_pingpong" -p usnic -e dgram -I 100 -S all >"$work/server" 2>&1 &
	server=$!
	until_true 10 sh -c "ip netns exec peer ss -ltn | grep -q :47592"
	ip netns exec here timeout 120 "$libfabric/bin/fi_pingpong" -p usnic -e dgram -I 100 -S all $ip2 >"$work/client" 2>&1 ||
		fail "fi_pingpong: $(cat "$work/client" "$work/server")"
	wait $server
	cat "$work/client"
	proven "fi_pingpong -p usnic -e dgram runs between two VICs in two namespaces"

	ip netns delete here
	until_true 10 test -e "/sys/class/net/$net1"
fi

ip netns delete peer
until_true 10 test -e "/sys/class/net/$net2"
proven "a netdev comes back when its namespace dies"

# --- hot unplug -------------------------------------------------------------------------------------------------------

"$knob" vic2 unplug
until_true 30 gone "/sys/class/infiniband/$rdma2"
until_true 10 gone "/sys/class/net/$net2"
proven "vic2 can be unplugged: $rdma2 and $net2 are gone"
"$vic_test" opens "$rdma1" 2>/dev/null || { use_vic "$net1" $ip1 && "$vic_test" opens "$rdma1"; }

echo "all proven on $(uname -r)"
