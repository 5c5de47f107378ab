import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { CannotCheck, type Trial } from '../01-processes/index.ts';
import { MNT, mount, umount } from '../02-namespaces/index.ts';

/** Mounts an overlay of the check's own, to see that folders of a check can be stacked here. @throws CannotCheck when not */
export function requireOverlay(t: Trial): void {
  const base = t.folder();
  const [lower, upper, work, merged] = ['l', 'u', 'w', 'm'].map((name) => join(base, name)) as [
    string,
    string,
    string,
    string,
  ];
  for (const dir of [lower, upper, work, merged]) mkdirSync(dir);
  try {
    const data = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
    mount({ source: 'overlay', target: merged, type: 'overlay', data });
  } catch (error) {
    throw new CannotCheck(
      `an overlay cannot be mounted below ${base}: ${String(error)}`,
      'sudo modprobe overlay; and where /tmp is an overlay itself, as in a container: sudo mount -t tmpfs tmpfs /tmp',
    );
  }
  umount(merged, MNT.DETACH);
}
