#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Turns a knob of a VIC from inside the guest, through QEMU's monitor on the virtio-serial port `qmp`.
#
#   knob.sh vic1 link-up            prints the value (JSON)
#   knob.sh vic1 link-up false      sets it (the value is JSON)
#   knob.sh vic1 unplug             asks the guest to give the device up (device_del)
#   knob.sh vic1 replug             plugs it in again (device_add); its netdev gets a name of the kernel's
set -eu

[ $# -ge 2 ] || { sed -n '3,8p' "$0" >&2; exit 2; }
device=$1 knob=$2

port=
for name in /sys/class/virtio-ports/*/name; do
	if [ "$(cat "$name")" = qmp ]; then
		port=/dev/$(basename "$(dirname "$name")")
	fi
done
[ -n "$port" ] || { echo "knob.sh: this guest has no port to QEMU's monitor" >&2; exit 1; }

where="\"path\": \"/machine/peripheral/$device\", \"property\": \"$knob\""
if [ "$knob" = unplug ]; then
	command="{\"execute\": \"device_del\", \"arguments\": {\"id\": \"$device\"}, \"id\": \"$$\"}"
elif [ "$knob" = replug ]; then
	# as vic_args() in xtask/src/vic/machine.rs plugs it in first
	mac=$(printf '52:54:00:56:49:%02x' $((${device#vic} + 1)))
	command="{\"execute\": \"device_add\", \"arguments\": {\"driver\": \"cisco-vic\", \"id\": \"$device\", \"bus\": \"${device}port\",
		\"netdev\": \"${device}hub\", \"num-vfs\": ${NICDOCK_LAB_VFS:-4}, \"mac\": \"$mac\"}, \"id\": \"$$\"}"
elif [ $# = 2 ]; then
	command="{\"execute\": \"qom-get\", \"arguments\": {$where}, \"id\": \"$$\"}"
else
	command="{\"execute\": \"qom-set\", \"arguments\": {$where, \"value\": $3}, \"id\": \"$$\"}"
fi

# The monitor lives on when the port is closed: only its first user must negotiate, and the others' refusal is skipped.
exec 3<>"$port"
printf '%s\n' '{"execute": "qmp_capabilities"}' "$command" >&3
while read -r answer <&3; do
	case $answer in
	*"\"id\": \"$$\""*) break ;;
	esac
done
case $answer in
*'"error"'*) echo "knob.sh: $answer" >&2; exit 1 ;;
*'"return": {}'*) ;;
*) printf '%s\n' "$answer" | sed 's/.*"return": //; s/\(, "id".*\)\{0,1\}}[[:space:]]*$//' ;;
esac
