#!/bin/busybox sh
# The first process of the emulated machine: mounts the real machine's root read-only under a layer in memory, makes that
# its root, and runs /second there.
B=/bin/busybox
$B mount -t proc p /proc; $B mount -t sysfs s /sys; $B mount -t devtmpfs d /dev
while read -r module; do $B insmod "/modules/$module" 2>/dev/null; done < /modules/order
$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=1048576,cache=loose host /host || $B poweroff -f
$B mount -t tmpfs t /above; $B mkdir /above/upper /above/work
$B mount -t overlay -o lowerdir=/host,upperdir=/above/upper,workdir=/above/work o /root || $B poweroff -f
for d in proc sys dev; do $B mount --move /$d /root/$d; done
$B mount -t tmpfs t /root/run; $B mkdir -p /root/run/netns /root/run/lock /root/dev/pts /root/dev/shm
$B mount -t cgroup2 c /root/sys/fs/cgroup; $B mount -t debugfs g /root/sys/kernel/debug 2>/dev/null
$B mount -t devpts p /root/dev/pts; $B mount -t tmpfs t /root/dev/shm
$B mkdir -p /root/lib/modules; $B mount --bind "/root$($B cat /folder)" /root/lib/modules
$B cp /second /root/run/second
exec $B switch_root /root /bin/sh /run/second
