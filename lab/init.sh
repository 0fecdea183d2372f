#!/bin/busybox sh
# The lab's first process: finds the host's files, puts a writable layer of memory over them, and hands over to xtask there.
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev

for module in /modules/*; do
    $b insmod "$module" || exit
done

$b mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /lower || exit
$b mount -t tmpfs -o mode=0755 layer /layer || exit
$b mkdir /layer/upper /layer/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work root /root || exit

for place in proc sys dev; do
    $b mount --move /$place /root/$place
done
$b mount -t tmpfs -o mode=0755 run /root/run
$b cp /job /root/run/lab-job || exit
xtask=$($b cat /xtask)
exec $b switch_root /root "$xtask" guest /run/lab-job
