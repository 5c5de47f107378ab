import { existsSync } from 'node:fs';
import type { Machine } from './machine.ts';
import { uml } from './uml.ts';

/** What systemd needs to know: that this is the machine's one task, and that the host's table of file systems is not for it. */
const KERNEL = ['INIT=systemd', 'systemd.show_status=no', 'systemd.log_target=journal', 'fstab=no'];

/** User-mode-linux with systemd as process 1, as in the Vagrant machine: it mounts the cgroups, and owns their tree. */
export const systemd: Machine = {
  name: 'user-mode-linux with systemd',
  missing: () => {
    if (uml.missing()) return uml.missing();
    if (!existsSync('/lib/systemd/systemd')) return 'systemd';
    return existsSync('/usr/bin/dbus-daemon') ? undefined : 'dbus';
  },
  environment: { ...uml.environment, TEST_VM: '1' },
  command: (boot) => uml.command({ ...boot, kernel: [...KERNEL, ...boot.kernel] }),
};

/** The same as machines were before cgroup v2: the controllers in trees of v1, and a bare tree of v2 beside them. systemd(1), "Kernel command line" */
export const hybrid: Machine = {
  ...systemd,
  name: 'user-mode-linux with systemd and cgroup v1',
  command: (boot) =>
    systemd.command({ ...boot, kernel: ['systemd.unified_cgroup_hierarchy=0', ...boot.kernel] }),
};
