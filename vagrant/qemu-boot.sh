#!/bin/bash
# qemu-boot.sh FOLDER VIRTIOFSD QEMU…    run QEMU, with virtiofsd beside it, which shows it the files
# of this machine at FOLDER/host.sock. In the namespaces of sandbox.sh.
set -euo pipefail
folder=$1 virtiofsd=$2
shift 2
mount -t tmpfs -o mode=755 tmpfs /run # virtiofsd keeps a lock there
"$virtiofsd" --socket-path="$folder/host.sock" -o source=/ -o cache=always -o sandbox=chroot >"$folder/virtiofsd.log" 2>&1 &
for _ in $(seq 100); do
  [ -S "$folder/host.sock" ] && break
  kill -0 $! || { cat "$folder/virtiofsd.log" >&2; exit 1; }
  sleep 0.1
done
exec "$@"
