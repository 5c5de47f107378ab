import { copyFileSync, mkdirSync, writeFileSync, chmodSync, existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { must } from './sandbox.ts';

/**
 * Makes a folder with a `curl` that hands out images made here, in place of those that runc's suite downloads: one of busybox, and one with
 * the few programs of Debian that its one test with a C library runs. To be put first in PATH.
 */
export function imageServer(work: string): string {
  const busybox = join(work, 'busybox.tar.xz');
  const debian = join(work, 'debian.tar.xz');
  packBusybox(join(work, 'busybox'), busybox);
  packDebian(join(work, 'debian'), debian);
  const bin = join(work, 'bin');
  mkdirSync(bin);
  writeFileSync(
    join(bin, 'curl'),
    `#!/bin/sh
# curl -o FILE … URL
while [ $# -gt 1 ]; do [ "$1" = -o ] && file=$2; shift; done
case "$1" in
*busybox*) cp '${busybox}' "$file" ;;
*debian*) cp '${debian}' "$file" ;;
*) echo "no such image: $1" >&2; exit 22 ;;
esac
`,
  );
  chmodSync(join(bin, 'curl'), 0o755);
  return bin;
}

/** Without /proc, /sys and /dev, as the image of Docker's library is: the tests make them. */
function packBusybox(root: string, file: string): void {
  const program = ['/bin/busybox', '/usr/bin/busybox'].find(existsSync);
  if (!program) throw new Error('busybox is not here: install busybox-static');
  folders(root, ['bin', 'etc', 'home', 'root', 'tmp', 'usr/bin', 'usr/sbin', 'var/tmp']);
  copyFileSync(program, join(root, 'bin/busybox'));
  must('chroot', [root, '/bin/busybox', '--install', '/bin']);
  writeFileSync(
    join(root, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n',
  );
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  must('tar', ['-cJf', file, '-C', root, '.']);
}

function packDebian(root: string, file: string): void {
  folders(root, ['bin', 'sbin', 'etc', 'lib', 'lib64', 'proc', 'sys', 'tmp', 'usr', 'var']);
  for (const program of ['/bin/sh', '/bin/grep', '/sbin/ldconfig']) {
    copyFileSync(program, join(root, program));
    const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
    for (const [library] of stdout.matchAll(/\/\S+\.so\S*/g)) {
      mkdirSync(join(root, dirname(library)), { recursive: true });
      copyFileSync(library, join(root, library));
    }
  }
  writeFileSync(join(root, 'etc/ld.so.conf'), '/lib\n');
  must('tar', ['-cJf', file, '-C', root, '.']);
}

function folders(root: string, names: readonly string[]): void {
  for (const name of names) mkdirSync(join(root, name), { recursive: true });
}
