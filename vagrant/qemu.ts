import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { guestWords, type Boot, type Machine } from './machine.ts';

/** Where virtiofsd is: in Debian 12 it comes with qemu, later it is a package of its own. */
const VIRTIOFSD = ['/usr/lib/qemu/virtiofsd', '/usr/libexec/virtiofsd'];

/** The kernel drivers without which the machine sees no disk and no root. */
const DRIVERS = ['virtio_pci', 'virtio_blk', 'virtiofs', 'overlay'];

/**
 * A whole machine in software, with Debian's cloud kernel: everything that a virtual machine's kernel has, several processors, at a tenth of
 * the speed. It sees the host's files through virtiofs.
 */
export const qemu: Machine = {
  name: 'qemu',
  missing: () => {
    if (!existsSync('/usr/bin/qemu-system-x86_64')) return 'qemu-system-x86';
    if (!virtiofsd()) return 'virtiofsd';
    if (!existsSync('/bin/busybox')) return 'busybox-static';
    return kernel() ? undefined : 'linux-image-cloud-amd64';
  },
  command: (boot) => {
    const initrd = makeInitrd(boot);
    const disk = (name: string) =>
      `file=${boot.work.replaceAll(',', ',,')}/${name},format=raw,if=virtio,cache=unsafe`;
    return [
      'bash',
      `${boot.checkout}/vagrant/qemu-boot.sh`,
      boot.work,
      virtiofsd()!,
      'qemu-system-x86_64',
      ...['-machine', 'q35,memory-backend=memory', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2'],
      // virtiofs reads and writes in the machine's own memory.
      ...['-m', '3G', '-object', 'memory-backend-file,id=memory,mem-path=/dev/shm,size=3G,share=on'],
      ...['-chardev', `socket,id=host,path=${boot.work}/host.sock`],
      ...['-device', 'vhost-user-fs-pci,chardev=host,tag=host'],
      ...['-drive', disk('disk'), '-drive', disk('reports')],
      ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-nic', 'none', '-no-reboot'],
      ...['-kernel', `/boot/vmlinuz-${kernel()}`, '-initrd', initrd],
      '-append',
      [
        'console=ttyS0',
        'quiet',
        'panic=-1',
        // On a busy host the emulated timer may seem dead to the kernel, which then gives up.
        'no_timer_check',
        'tsc=reliable',
        ...guestWords(boot, qemu.name, '/dev/vda', '/dev/vdb'),
        ...boot.kernel,
      ].join(' '),
    ];
  },
};

const virtiofsd = (): string | undefined => VIRTIOFSD.find((path) => existsSync(path));

/** The newest of Debian's cloud kernels that are here: `6.1.0-56-cloud-amd64`. */
const kernel = (): string | undefined =>
  readdirSync('/boot')
    .filter((name) => /^vmlinuz-.*-cloud-amd64$/.test(name))
    .sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .at(-1)
    ?.slice('vmlinuz-'.length);

/** The initial RAM disk: busybox, the drivers, and initrd.sh as /init. Returns its path. @throws Error when it cannot be made */
function makeInitrd({ checkout, work }: Boot): string {
  const [root, out] = [join(work, 'initrd'), join(work, 'initrd.cpio')];
  for (const folder of ['bin', 'modules']) mkdirSync(join(root, folder), { recursive: true });
  copyFileSync('/bin/busybox', join(root, 'bin/busybox'));
  copyFileSync(join(checkout, 'vagrant/initrd.sh'), join(root, 'init'));
  drivers().forEach((path, i) => {
    copyFileSync(path, join(root, 'modules', `${String(i).padStart(2, '0')}-${basename(path)}`));
  });
  output(
    'sh',
    ['-c', 'ln -s busybox bin/sh && find . | busybox cpio -o -H newc >"$0" 2>/dev/null', out],
    root,
  );
  return out;
}

/** The files of the drivers and of what they need, each after what it needs. modprobe(8) */
function drivers(): string[] {
  const lines = output('modprobe', ['-a', '--show-depends', '-S', kernel()!, ...DRIVERS]).split('\n');
  return [...new Set(lines.flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []))];
}

function output(program: string, args: string[], cwd = '/'): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: 'utf8' });
  if (error || status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}
