import { join } from 'node:path';

/** podman's own words for: with folders of this test's alone, without systemd, and with this runtime. */
export function podmanBy(dir: string, runtime: string, events: 'file' | 'none'): string[] {
  const at = (name: string): string => join(dir, 'podman', name);
  return [
    ...['--root', at('root'), '--runroot', at('run'), '--tmpdir', at('tmp'), '--storage-driver', 'vfs'],
    ...['--events-backend', events, '--cgroup-manager', 'cgroupfs', '--runtime', runtime],
  ];
}

/** What `podman run` is told of limits: it asks for such as root itself may not have in a container of its own. */
export const LIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];
