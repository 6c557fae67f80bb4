#!/bin/sh
# Makes a machine within this one and runs a program on it. `world.rs` starts this as the first process of namespaces of its
# own, and says what it passes:
#   world.sh enter NAME FOLDER SETTINGS PROGRAM [ARGUMENT...]
set -eu
step=$1 name=$2 folder=$3 settings=$4
cgroups=/sys/fs/cgroup

# A namespace of cgroups begins at those that a process is in when it gets it.
if [ "$step" = enter ]; then
    shift
    for cgroup in "$cgroups/$name" "$cgroups"/*/"$name"; do
        if [ -d "$cgroup" ]; then echo $$ >"$cgroup/cgroup.procs"; fi
    done
    exec unshare --cgroup -- /bin/sh "$0" inside "$@"
fi
shift 4

mount -t proc proc /proc

# The mounts of the machine's own cluster would be held by this copy of them.
while read -r _ _ _ _ point _; do
    case $point in /run/* | /var/lib/hawser-local/*) points="$point ${points:-}" ;; esac
done </proc/self/mountinfo
for point in ${points:-}; do umount -l "$point"; done

# There is one of these for all namespaces. kubelet sets them at its start, and is to set nobody else's.
mkdir "$folder/settings"
for setting in $settings; do
    file=$folder/settings/$(basename "$setting")
    if cat "/proc/sys/$setting" >"$file" 2>/dev/null; then mount --bind "$file" "/proc/sys/$setting"; fi
done

# cgroups from this world's own downwards; sysfs shows the links of the network namespace that it is mounted in.
mkdir "$folder/cgroup"
if [ -f "$cgroups/cgroup.controllers" ]; then
    mount --bind "$cgroups/$name" "$folder/cgroup"
else
    mount -t tmpfs -o mode=755 cgroups "$folder/cgroup"
    for path in "$cgroups"/*; do
        here=$folder/cgroup/$(basename "$path")
        if [ -L "$path" ]; then
            cp -P "$path" "$here"
        elif [ -d "$path" ]; then
            mkdir "$here"
            if [ -d "$path/$name" ]; then mount --bind "$path/$name" "$here"; else mount --bind "$path" "$here"; fi
        fi
    done
fi
umount -l /sys
mount -t sysfs sysfs /sys
mount --move "$folder/cgroup" "$cgroups"
# cgroup v2: controllers are passed down only by a cgroup without processes.
if [ -f "$cgroups/cgroup.controllers" ]; then
    mkdir "$cgroups/world"
    echo $$ >"$cgroups/world/cgroup.procs"
fi

# What a cluster writes to fixed places: nothing of another's is there, and everything else is as it was.
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=755 log /var/log
mkdir "$folder/lib" "$folder/machine"
mount --rbind /var/lib "$folder/machine"
mount --bind "$folder/lib" /var/lib
for path in "$folder/machine"/*; do
    here=/var/lib/$(basename "$path")
    case $here in /var/lib/hawser-local | /var/lib/kubelet | /var/lib/cni) continue ;; esac
    if [ -L "$path" ]; then
        cp -P "$path" "$here"
    elif [ -d "$path" ]; then
        mkdir "$here"
        mount --rbind "$path" "$here"
    fi
done
umount -l "$folder/machine"

ip link set lo up

# Not `exec`: the first process of its namespace has to wait for the orphans of all others, and the shell does.
"$@" || exit $?
exit 0
