#!/bin/bash
# arm64.sh [--kernel] [COMMAND…]    run COMMAND on the last commit as an arm64 machine would, on this one, as root.
#
# Debian's arm64 packages and npm's arm64 binaries are laid out in a folder, and run by qemu-user: real arm64 programs, with this
# machine's kernel behind the system calls. Registered (binfmt_misc) in a user namespace of its own: the machine learns nothing of it,
# and nothing stays. qemu-user cannot make the process a subreaper (its prctl answers EINVAL), and /proc/PID/cmdline shows qemu.
#
# --kernel boots Debian's arm64 kernel too, in qemu-system: slower, and there is nothing that it cannot do.
#
# Needs: mmdebstrap qemu-user-static; with --kernel qemu-system-arm cpio. From the machine: Debian's mirror, npm's registry.
set -euo pipefail

suite=${SUITE:-trixie}
here=$(dirname "$(realpath "$0")")
repository=$(git -C "$here" rev-parse --show-toplevel)
packages=nodejs,busybox-static,procps,coreutils,dash,bash,grep,sed,findutils,util-linux,mount,iproute2,nftables,libseccomp2
tests="errors fork capabilities exec-capabilities pty"

main() {
  local mode=user
  if [ "${1:-}" = --inside ]; then shift; inside "$@"; fi
  if [ "${1:-}" = --kernel ]; then mode=kernel; shift; fi
  [ "$(id -u)" = 0 ] || fail "not root: type sudo $0"
  for program in mmdebstrap qemu-aarch64-static; do
    command -v "$program" >/dev/null || fail "no $program: type apt-get install mmdebstrap qemu-user-static"
  done
  if [ "$mode" = kernel ]; then
    command -v qemu-system-aarch64 cpio >/dev/null || fail "type apt-get install qemu-system-arm cpio"
    packages=$packages,linux-image-cloud-arm64
  fi
  root=$(mktemp -d /var/tmp/workshop-arm64-XXXXXX)
  trap finish EXIT
  make_root
  # $* is for a shell inside.
  local command=${*:-$(default_command "$mode")}
  say "as arm64 ($mode): $command"
  "as_$mode" "$command"
}

default_command() {
  local files=()
  for name in $tests; do
    files+=("chapters/01-processes/tests/$name.test.ts")
  done
  printf 'node_modules/.bin/vitest run --testTimeout=600000 %s' "${files[*]}"
  if [ "$1" = kernel ]; then printf ' && node_modules/.bin/tsx chapters/01-processes/demo.ts'; fi
}

# Packages are unpacked, not set up: their scripts would have to run as arm64 already.
make_root() {
  say "Debian $suite for arm64, in $root"
  mmdebstrap --quiet --variant=extract --arch=arm64 --include="$packages" "$suite" "$root"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n' >"$root/etc/passwd"
  mkdir -p "$root/workshop" "$root/root"
  git -C "$repository" archive HEAD | tar -x -C "$root/workshop"
  say "npm ci for arm64"
  (cd "$root/workshop" && npm ci --cpu=arm64 --os=linux --libc=glibc --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
}

# All users of this machine are mapped to themselves, so that chown and mknod's kin work as far as a user namespace allows.
as_user() {
  unshare --user "$here/arm64.sh" --inside "$root" "$1" &
  pid=$!
  until [ "$(readlink "/proc/$pid/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.02; done
  echo '0 0 4294967295' >"/proc/$pid/uid_map"
  echo '0 0 4294967295' >"/proc/$pid/gid_map"
  local status=0
  wait "$pid" || status=$?
  pid=
  return "$status"
}

# The second half of as_user, in the user namespace: first as its root, then in mount and pid namespaces.
inside() {
  if [ "$1" != --mounted ]; then
    until grep -q . /proc/self/gid_map; do sleep 0.02; done
    exec unshare --mount --pid --fork --kill-child --propagation private "$0" --inside --mounted "$@"
  fi
  local root=$2 command=$3 magic='\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00'
  local mask='\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff'
  mount --bind "$root" "$root"
  mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc # since Linux 6.7 each user namespace has its own
  printf '%s' ":arm64:M::$magic:$mask:$(command -v qemu-aarch64-static):FC" >/proc/sys/fs/binfmt_misc/register
  mount --rbind /dev "$root/dev"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount -t tmpfs tmpfs "$root/tmp"
  exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    sh -c "cd /workshop && uname -m && $command"
}

# The root is the kernel's first file system, in memory: it needs no driver.
as_kernel() {
  printf '%s' "$1" >"$root/command"
  cat >"$root/init" <<'INIT'
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts -o ptmxmode=666 pts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run; mount -t cgroup2 cgroup2 /sys/fs/cgroup
ln -sf /proc/self/fd /dev/fd; ip link set lo up
echo "booted: $(uname -srm)"
cd /workshop && sh -c "$(cat /command)"
echo "ended with status $?"
echo o >/proc/sysrq-trigger; sleep 60
INIT
  chmod +x "$root/init"
  (cd "$root" && find . \( -path ./boot -o -path ./usr/lib/modules -o -path ./usr/share/doc -o -path ./usr/share/locale \) -prune -o -print0 |
    cpio -0 -o -H newc --quiet >"$root/boot/initrd")
  qemu-system-aarch64 -M virt -cpu cortex-a72 -m 3G -nodefaults -nographic -no-reboot -serial stdio \
    -kernel "$root"/boot/vmlinuz-* -initrd "$root/boot/initrd" -append 'console=ttyAMA0 quiet rdinit=/init' </dev/null |
    tee "$root/boot/said"
  grep -q '^ended with status 0' "$root/boot/said"
}

# Also after Ctrl-C: with its first process everyone in the pid namespace ends.
finish() {
  if [ -n "${pid:-}" ]; then kill -KILL "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; fi
  rm -rf --one-file-system "$root"
}

say() { printf '\n── %s\n' "$*"; }
fail() {
  printf '%s\n' "$*" >&2
  exit 1
}

main "$@"
