#!/bin/bash
# sandbox.sh FOLDER COMMAND…    run COMMAND, as root, where the machine's files can be read and not written, but those in FOLDER.
#
# In mount and process namespaces of its own: whatever COMMAND starts ends with it, and a mistake in a virtual machine that is shown these
# files cannot reach them. /dev/shm is empty there, and writable: user-mode-linux keeps the memory of its machine in it.
set -euo pipefail

if [ "${1:-}" != --inside ]; then
  exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private bash "$0" --inside "$@"
fi
folder=$2
shift 2
mount --bind "$folder" "$folder"
mount -t tmpfs -o mode=1777,size=90% memory /dev/shm
# The deepest first: a mount point that lies below one that cannot be reached is not there, and needs nothing.
findmnt -rno TARGET | tac | while IFS= read -r target; do
  case $(printf '%b' "$target") in
    "$folder" | /dev/shm | /proc | /proc/*) ;;
    *) mount -o remount,bind,ro "$(printf '%b' "$target")" ;;
  esac
done
cd /
exec "$@"
