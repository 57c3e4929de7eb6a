#!/bin/busybox sh
# First process of the virtual machine: sets up what a booted system has, runs /run.sh, and switches off.
# Lines for `cargo xtask vm` begin with "@vm ".
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ MONITOR_BIN=/test/monitor RUST_BACKTRACE=0 MONITOR_TEST_PATIENCE=10
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/shm /run /etc
ip link set lo up
while read -r module; do
    insmod "/modules/$module" || echo "@vm refused module $module"
done </modules/order

# NAME COMMAND...: runs a test, and shows what it said if it failed.
check() {
    name=$1
    shift
    before=$(cut -d ' ' -f 1 /proc/uptime)
    timeout -s KILL 240 "$@" >/tmp/said 2>&1
    code=$?
    echo "@took $name $before $(cut -d ' ' -f 1 /proc/uptime)"
    # A name that fits no test passes, too.
    [ "$code" = 0 ] && ! grep -q '^test result: ok. 1 passed' /tmp/said && code=404
    echo "@vm test $name $code"
    if [ "$code" != 0 ]; then
        head -c 6000 /tmp/said
        echo
        killall -q -9 traffic actor monitor
    fi
}

# Which programs the kernel takes: monitor says so in its log.
programs() {
    RUST_LOG=info /test/monitor --json --interval 0.2 -s 0.3 --log-file /tmp/log >/tmp/objects 2>/tmp/said </dev/null
    echo "@vm monitor $?"
    cat /tmp/said
    sed 's/^/@vm log /' /tmp/log
    sed -n '1s/^/@vm object /p' /tmp/objects
}

echo "@vm kernel $(uname -r)"
. /run.sh
echo "@vm end"
poweroff -f
