# Turns the namespaces it is started in into a small machine and becomes its systemd.
# Runs as process 1 of a new pid namespace; everything it mounts is seen and kept here alone.
# NAME is the machine's hostname, STAGE the folder on the host with what goes in,
# ROOT the folder on the host with the distribution that boots, or / for the host's own;
# CGROUP_V1, if it is not empty, asks for cgroups of version 1 alone;
# BOUND the name inside of a folder BOUND_SOURCE on the host that is too large to copy.
set -eu

# The root is read through an overlay; what the machine writes lives and dies in memory.
# It is bound first, because a path with a colon or a comma would be several options.
mount -t tmpfs -o mode=755 machine "$STAGE/disk"
mkdir "$STAGE/disk/lower" "$STAGE/disk/upper" "$STAGE/disk/work" "$STAGE/disk/root"
mount --bind "$ROOT" "$STAGE/disk/lower"
mount -t overlay -o "lowerdir=$STAGE/disk/lower,upperdir=$STAGE/disk/upper,workdir=$STAGE/disk/work" \
    machine "$STAGE/disk/root"
cd "$STAGE/disk/root"

mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -n "${CGROUP_V1:-}" ]; then
    mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    # In a container systemd reads the words of the kernel's command line from its own.
    set -- systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1
else
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    set --
fi
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mount -t tmpfs -o mode=755 dev dev
for device in null zero full random urandom tty; do
    : >"dev/$device"
    mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
ip link set lo up

tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
echo "$NAME" >etc/hostname
: >etc/fstab
# debootstrap leaves it to whoever installs.
grep -qsw localhost etc/hosts || echo "127.0.0.1 localhost" >>etc/hosts

# Whatever that root enabled or configured for its own systemd stays outside; only the user bus is kept.
rm -rf etc/systemd/* etc/nologin usr/local/lib/systemd
rm -rf lib/systemd/system/*.wants lib/systemd/system-generators/* lib/systemd/user-generators/*
rm -rf usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators/* usr/lib/systemd/user-generators/*
find lib/systemd/user/ usr/lib/systemd/user/ -path '*.wants/*' ! -name dbus.socket -delete

# A user's own journal file, the one `journalctl --user` reads, exists only with persistent storage.
# It is memory all the same, and the flag lets journald write there without a flush at boot.
mkdir -p etc/systemd/system etc/systemd/journald.conf.d var/log run/systemd/journal
rm -rf var/log/journal
mkdir var/log/journal
: >run/systemd/journal/flushed
cat >etc/systemd/journald.conf.d/e2e.conf <<END
[Journal]
Storage=persistent
RateLimitIntervalSec=0
RateLimitBurst=0
END

add_user() {
    echo "$1:x:$2:$2::/home/$1:/bin/sh" >>etc/passwd
    echo "$1:*:19000:0:99999:7:::" >>etc/shadow
    echo "$1:x:$2:" >>etc/group
    mkdir -p "home/$1"
    chown "$2:$2" "home/$1"
}
add_user watched "$USER_ID"
add_user portholder "$PORT_HOLDER_ID"
mkdir -p var/lib/systemd/linger
: >var/lib/systemd/linger/watched

cat >etc/systemd/system/e2e.target <<END
[Unit]
Requires=systemd-journald.service dbus.socket e2e-as-root.socket user@$USER_ID.service
Wants=systemd-logind.service
After=systemd-logind.service user@$USER_ID.service e2e-as-root.socket
END
cat >etc/systemd/system/e2e-as-root.socket <<END
[Socket]
ListenStream=/run/e2e-as-root
SocketUser=watched
SocketMode=0600
Accept=yes
MaxConnections=100
TriggerLimitBurst=0
END
cat >etc/systemd/system/e2e-as-root@.service <<END
[Unit]
CollectMode=inactive-or-failed
[Service]
ExecStart=/opt/e2e/e2e as-root
StandardInput=socket
StandardOutput=socket
StandardError=journal
END

# Old time stamps: a gateway program younger than a minute would pass for one being updated.
mkdir -p opt/e2e
cp -r "$STAGE/files/." opt/e2e
find opt/e2e -exec touch -d 2020-01-01 {} +
chmod -R a+rX opt/e2e
if [ -n "${BOUND:-}" ]; then
    mkdir "opt/e2e/$BOUND"
    mount --bind "$BOUND_SOURCE" "opt/e2e/$BOUND"
    mount -o remount,bind,ro "opt/e2e/$BOUND"
fi

: >run/host-notify
mount --bind "$STAGE/notify" run/host-notify

pivot_root . mnt
umount -l /mnt
exec env -i container=e2e NOTIFY_SOCKET=/run/host-notify PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    /lib/systemd/systemd --unit=e2e.target --log-target=journal --show-status=no "$@"
