#!/bin/bash
# In the virtual machine, after guest-init.sh: runs what /job/steps says, a line a step (its name, a tab, a command), and gives each step's
# status and seconds, and what it wrote to its $REPORT, back to the host: as a tar archive on the disk $REPORTS. Then it switches the machine off.
export REPORT
. /job/environment
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
# What the kernel would load by itself on a machine whose modules are where it looks.
for module in veth bridge loop ip_tables iptable_nat nf_tables nft_masq; do modprobe -q "$module"; done

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  controllers=$(cat /sys/fs/cgroup/cgroup.controllers)
else
  controllers=$(awk '!/^#/ && $2 > 0 {printf "%s ", $1}' /proc/cgroups) # those that are in a tree of v1
fi
echo "machine: $MACHINE, Linux $(uname -r), $(nproc) processor(s), $(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo) MB"
echo "cgroups: $(findmnt -no FSTYPE /sys/fs/cgroup) at /sys/fs/cgroup, controllers: $controllers"
echo "process 1: $(cat /proc/1/comm)"
mkdir /run/reports
save() { tar -cf "$REPORTS" -C /run/reports .; }

while IFS=$'\t' read -r name command <&3; do
  echo "━━ $name: $command"
  REPORT=/run/reports/$name.json started=$SECONDS
  bash -c "$command" </dev/null 2>&1 | cat
  echo "${PIPESTATUS[0]} $((SECONDS - started))" >"/run/reports/$name.status"
  save
done 3</job/steps
sync
echo o >/proc/sysrq-trigger
sleep 60
