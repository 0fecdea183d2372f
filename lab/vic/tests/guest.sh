#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Proves the virtual VIC: cargo xtask lab --vic 2 -- lab/vic/tests/guest.sh
#
# Ends with 0 only if every claim was proven. Takes vic1 away in the end: to be run once in a lab.
set -eu

vics=${NICDOCK_LAB_VICS:-0}
[ "$vics" -ge 2 ] || { echo "guest.sh: needs a lab with two VICs: cargo xtask lab --vic 2" >&2; exit 2; }
vic_test=$NICDOCK_LAB_VIC_TEST knob=$NICDOCK_LAB_KNOB vfs=$NICDOCK_LAB_VFS libfabric=$NICDOCK_LAB_LIBFABRIC
work=$(mktemp -d)
# As the lab has made them; vic1 gets an address of vic0's subnet when it goes to a namespace of its own.
net1=vic0 net2=vic1
rdma1=usnic_0 rdma2=usnic_1
ip1=10.78.1.1 ip2=10.78.1.2
mac2=$(cat /sys/class/net/$net2/address)
pci2=$(basename "$(readlink -f /sys/class/net/$net2/device)")

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

state_is() {
	case $(cat "/sys/class/infiniband/$1/ports/1/state") in
	*"$2"*) ;;
	*) return 1 ;;
	esac
}

# A netdev that was in a namespace comes back down and without its address.
use_vic() {
	ip address replace "$3/24" dev "$1"
	ip link set "$1" up
	until_true 10 state_is "$2" ACTIVE
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

for device in $rdma1 $rdma2; do
	[ "$(cat "/sys/class/infiniband/$device/max_vf")" = "$vfs" ] || fail "$device has $(cat "/sys/class/infiniband/$device/config")"
done
[ "$(cat /sys/class/infiniband/$rdma1/iface) $(cat /sys/class/infiniband/$rdma2/iface)" = "$net1 $net2" ] || fail "the order of the VICs"
proven "enic and usnic_verbs of $(uname -r) bind: $rdma1 on $net1, $rdma2 on $net2, $vfs VFs each"
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

"$knob" vic0 link-up false
until_true 5 state_is "$rdma1" DOWN
"$vic_test" refused "$rdma1" 1
"$knob" vic0 link-up true
until_true 5 state_is "$rdma1" ACTIVE
proven "link-up takes the link away and gives it back"

"$knob" vic0 fail-devcmd 58
"$knob" vic0 fail-devcmd-error 10
"$vic_test" refused "$rdma1" 14
[ "$("$knob" vic0 fail-devcmd-error)" = 0 ] || fail "the fault did not fire"
"$vic_test" opens "$rdma1"
proven "fail-devcmd makes one command fail, and the next succeed"

if [ $data_path = yes ]; then
	mkfifo "$work/when"
	"$vic_test" goes-silent "$rdma1" <"$work/when" >"$work/silent" &
	exec 4>"$work/when"
	"$knob" vic0 reset-vf "$(said "$work/silent" vf)"
	echo now >&4
	wait $!
	exec 4>&-
	grep proven "$work/silent"

	rm "$work/silent"
	"$vic_test" goes-silent "$rdma1" <"$work/when" >"$work/silent" 2>/dev/null &
	running=$!
	exec 4>"$work/when"
	said "$work/silent" vf >/dev/null
	"$knob" vic0 link-up false
	until_true 5 queue_pairs_in_error "$rdma1"
	"$knob" vic0 link-up true
	until_true 5 state_is "$rdma1" ACTIVE
	queue_pairs_in_error "$rdma1" || fail "queue pairs came back with the link"
	kill $running
	wait $running 2>/dev/null || true
	exec 4>&-
	proven "a link that went down leaves a running program's queue pairs in error, also when it is back"
fi

[ "$("$knob" vic0 filters-used)" = 0 ] || fail "$("$knob" vic0 filters-used) filters are left"
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

if [ $data_path = yes ]; then
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

"$knob" $net2 unplug
until_true 30 gone "/sys/class/infiniband/$rdma2"
until_true 10 gone "/sys/class/net/$net2"
proven "a VIC can be unplugged: $rdma2 and $net2 are gone"
use_vic $net1 $rdma1 $ip1
"$vic_test" opens $rdma1

# The kernel turns the slot's power off some time after the driver let go, and only then QEMU forgets the device.
until_true 10 "$knob" $net2 replug
until_true 30 test -e "/sys/bus/pci/devices/$pci2/net"
# enic enables the VFs before it has a netdev: usnic_verbs, loaded already, refused them and has to be told again.
for vf in "/sys/bus/pci/devices/$pci2/"virtfn*; do
	echo "$(basename "$(readlink "$vf")")" >/sys/bus/pci/drivers/usnic_verbs/bind
done
[ "$(cat /sys/class/infiniband/$rdma2/max_vf)" = "$vfs" ] || fail "$rdma2 came back with $(cat /sys/class/infiniband/$rdma2/config)"
use_vic "$(cat /sys/class/infiniband/$rdma2/iface)" $rdma2 $ip2
"$vic_test" opens $rdma2
proven "a VIC can be plugged in again: $rdma2 is back when its VFs have been bound"

echo "all proven on $(uname -r)"
