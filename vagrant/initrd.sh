#!/bin/sh
# /init of the initial RAM disk with which qemu's machine boots: loads the drivers that lie beside it in the order of their names, takes the
# host's files, which come through virtiofs and can only be read, as its root, and goes on there with guest-init.sh.
/bin/busybox mkdir -p /proc /dev /host
/bin/busybox mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do /bin/busybox insmod "$module"; done
/bin/busybox mount -t virtiofs -o ro host /host
/bin/busybox mount -t devtmpfs devtmpfs /host/dev
exec /bin/busybox switch_root /host "$CHECKOUT/vagrant/guest-init.sh"
