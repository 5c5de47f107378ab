#!/bin/sh
# The first process of the virtual machine. Its root is the host's, and can only be read: this makes one that can be written, an overlay
# over it whose upper layer is on a disk of the machine's own, and goes on there with guest.sh, in the checkout, which is at /workshop.
#
# The kernel's command line gives: CHECKOUT, the checkout's path; WORK, the folder that this run was given on the host; DISK, the disk to
# use; INIT=systemd, for systemd to be process 1 and guest.sh a service of it.
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8

mount -t proc proc /proc
mount -t sysfs sysfs /sys
grep -qw overlay /proc/filesystems || insmod "$(find /usr/lib/uml/modules/"$(uname -r)" -name overlay.ko)"
mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1 "$DISK"
mount -t ext4 "$DISK" /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/tmp /mnt/lib
chmod 1777 /mnt/tmp
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work,redirect_dir=off,index=off overlay /mnt/root

cd /mnt/root
mkdir -p workshop job var/lib/mydocker
mount --bind ".$CHECKOUT" workshop
mount --bind ".$WORK" job
# What is an upper layer itself must not lie on an overlay.
mount --bind /mnt/tmp tmp
mount --bind /mnt/lib var/lib/mydocker
mount -n --move /proc proc
mount -n --move /sys sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t devtmpfs devtmpfs dev
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -sfn /proc/self/fd dev/fd
[ -e "lib/modules/$(uname -r)" ] || ln -s "/usr/lib/uml/modules/$(uname -r)" lib/modules/

mkdir -p .host
pivot_root . .host
cd /workshop
umount -l /.host
rmdir /.host
rm -f /.dockerenv # where the host is a container, the machine is none
if [ "$INIT" != systemd ]; then exec vagrant/guest.sh; fi
cp vagrant/workshop-vm.service /etc/systemd/system/
printf '%s\n' "MACHINE=$MACHINE" "REPORTS=$REPORTS" >/run/workshop-vm.environment
exec /lib/systemd/systemd --unit=workshop-vm.service
