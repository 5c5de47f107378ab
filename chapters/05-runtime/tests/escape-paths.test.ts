import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readMountinfo } from '../../01-processes/index.ts';
import { inMountNamespace, onStage, pidOf, weakened, withoutDev } from './escape-stage.ts';
import { exchanging } from './exchange.ts';
import type { Workbench } from './workbench.ts';

let bench: Workbench;
onStage((made) => (bench = made));

interface Volume {
  bundle: string;
  volume: string;
  outside: string;
  race(): Promise<() => Promise<void>>;
}

/** How many mounts one container tries while the other side exchanges. */
const TRIES = 40;

/**
 * A container that shares a volume with an attacker, who keeps exchanging `d`, a directory in it, for a link to `outside`, a directory of
 * the host's.
 */
function sharedVolume(change: Parameters<Workbench['bundle']>[0]): Volume {
  const volume = join(bench.dir, bench.id());
  const outside = join(bench.dir, bench.id());
  for (const path of [volume, outside, join(volume, 'd')]) mkdirSync(path);
  symlinkSync(outside, join(volume, 'link'));
  const bundle = bench.bundle((spec) => {
    spec.mounts.push({ destination: '/vol', type: 'bind', source: volume, options: ['bind'] });
    change?.(spec);
  });
  return {
    bundle,
    volume,
    outside,
    race: () => exchanging(join(volume, 'd'), join(volume, 'link')),
  };
}

const numbers = Array.from({ length: TRIES }, (_, i) => i);

describe('a path that the other side changes between check and use (CVE-2021-30465)', () => {
  it('leads a runtime that joins strings out of the root: the negative', async () => {
    const { volume, outside, race } = sharedVolume(undefined);
    const stop = await race();
    try {
      // The check comes first, as runc's did: no link is in the way. Then the mount, by the same path. At most 2000 mounts; a look at what
      // the other side leaves alone for a moment costs nothing.
      const mounts = inMountNamespace(
        `i=0 looks=0
        while [ $i -lt 2000 ] && [ $looks -lt 1000000 ] && ! { [ $((i % 50)) = 49 ] && grep -q " $2 " /proc/self/mountinfo; }; do
          looks=$((looks + 1))
          [ -L "$1/d" ] || { i=$((i + 1)); mount -t tmpfs race "$1/d" 2>/dev/null || :; }
        done
        cat /proc/self/mountinfo`,
        volume,
        outside,
      );
      expect(mounts).toContain(` ${outside} `);
    } finally {
      await stop();
    }
  });

  it('leads no mount out of the root', async () => {
    const { bundle, outside, volume, race } = sharedVolume((spec) => {
      for (const i of numbers)
        spec.mounts.push({ destination: `/vol/d/m${i}`, type: 'tmpfs', source: `race${i}`, options: [] });
      spec.process.args = ['sh', '-c', 'grep -o "tmpfs race[0-9]*" /proc/self/mountinfo | wc -l'];
    });
    // They are there: a runtime that is led out would find its targets, and would make no noise.
    for (const i of numbers) mkdirSync(join(outside, `m${i}`));
    for (const i of numbers) mkdirSync(join(volume, 'd', `m${i}`));
    const stop = await race();
    try {
      for (let run = 0; run < 3; run++) {
        const { status, out, err } = bench.myrunc('run', '-b', bundle, bench.id());
        // What is mounted outside of the root is gone with the old root: so all of them are in it.
        expect({ status, out: out.trim(), err }).toEqual({ status: 0, out: String(TRIES), err: '' });
      }
    } finally {
      await stop();
    }
  });
});

describe('files and directories that are made for mounts (CVE-2024-45310)', () => {
  it('appear outside when a path is made step by step: the negative', async () => {
    const { volume, outside, race } = sharedVolume(undefined);
    const stop = await race();
    try {
      for (let i = 0; i < 20_000 && readdirSync(outside).length === 0; i++)
        try {
          mkdirSync(join(volume, 'd', `made${i}`), { recursive: true });
        } catch {
          // lost this one
        }
    } finally {
      await stop();
    }
    expect(readdirSync(outside)).not.toEqual([]);
  });

  it('are made inside only', async () => {
    const file = join(bench.dir, 'source');
    writeFileSync(file, 'bound');
    const { bundle, outside, race } = sharedVolume((spec) => {
      for (const i of numbers)
        spec.mounts.push(
          i % 2
            ? { destination: `/vol/d/dir${i}/deep`, type: 'tmpfs', source: 'tmpfs', options: [] }
            : { destination: `/vol/d/file${i}`, type: 'bind', source: file, options: ['bind'] },
        );
      spec.process.args = ['true'];
    });
    const stop = await race();
    try {
      for (let run = 0; run < 3; run++) {
        const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
        expect({ status, err }).toEqual({ status: 0, err: '' });
        expect(readdirSync(outside)).toEqual([]);
      }
    } finally {
      await stop();
    }
  });
});

describe('tmpcopyup', () => {
  it('copies nothing of the host, while the other side exchanges what it copies for links', async () => {
    const { bundle, volume, outside, race } = sharedVolume((spec) => {
      spec.mounts.push({ destination: '/vol', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] });
      spec.process.args = ['sh', '-c', 'cat /vol/d/* /vol/link/* /vol/fifo; ls -l /vol/bin'];
    });
    writeFileSync(join(outside, 'secret'), 'of the host');
    writeFileSync(join(volume, 'd', 'file'), 'of the image\n');
    mkdirSync(join(volume, 'bin'));
    writeFileSync(join(volume, 'bin/setuid'), '', { mode: 0o4755 });
    spawnSync('chmod', ['4755', join(volume, 'bin/setuid')]);
    spawnSync('mkfifo', [join(volume, 'fifo')]); // who opens it for reading waits for ever
    const stop = await race();
    try {
      for (let run = 0; run < 5; run++) {
        const { out } = bench.myrunc('run', '-b', bundle, bench.id());
        expect(out).not.toContain('of the host');
        expect(out).toContain('-rwsr-xr-x');
      }
    } finally {
      await stop();
    }
  });
});

describe('/proc of the image (CVE-2019-16884, CVE-2019-19921, CVE-2023-27561, CVE-2023-28642)', () => {
  it.each(['proc', 'sys'])(
    'as a link makes mount(2) put the kernel’s files elsewhere: the negative, /%s',
    (name) => {
      const rootfs = join(bench.bundle(), 'rootfs');
      mkdirSync(join(rootfs, 'fake'));
      rmSync(join(rootfs, name), { recursive: true, force: true });
      symlinkSync('fake', join(rootfs, name));
      const out = inMountNamespace(
        'mount -t tmpfs elsewhere "$1/$2"; grep -o "$1/fake " /proc/self/mountinfo',
        rootfs,
        name,
      );
      expect(out.trim()).toBe(`${rootfs}/fake`);
    },
  );

  it.each(['proc', 'sys'])('must be a directory and no link: /%s', (name) => {
    const bundle = bench.bundle();
    const rootfs = join(bundle, 'rootfs');
    mkdirSync(join(rootfs, 'fake'));
    symlinkSync('fake', join(rootfs, name));
    const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toContain(`to rootfs at \\"/${name}\\"`);
    expect(err).toContain('ELOOP');
    expect(readdirSync(join(rootfs, 'fake'))).toEqual([]);
  });

  it('must be so also when it is exchanged for a link meanwhile', async () => {
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sh', '-c', 'test -e /proc/1/status && test ! -e /fake/1'];
    });
    const rootfs = join(bundle, 'rootfs');
    for (const name of ['proc', 'fake']) mkdirSync(join(rootfs, name));
    symlinkSync('fake', join(rootfs, 'link'));
    const stop = await exchanging(join(rootfs, 'proc'), join(rootfs, 'link'));
    const places = new Set<string>();
    try {
      for (let run = 0; run < 8; run++) {
        const id = bench.id();
        const { status, err } = bench.myrunc('create', '-b', bundle, id);
        if (status !== 0) expect(err).toMatch(/ELOOP|ENOENT|ENOTDIR/);
        else {
          for (const { type, mountPoint } of readMountinfo(pidOf(bench, id))!)
            if (type === 'proc') places.add(mountPoint);
          bench.myrunc('delete', '-f', id);
        }
      }
    } finally {
      await stop();
    }
    // A mount goes with its directory, whatever that is called at the moment; where the link leads there is none.
    expect([...places].filter((place) => !/^\/(proc|link)(\/|$)/.test(place))).toEqual([]);
  });

  it.each([
    ['/proc', 'a volume over all of it'],
    ['/proc/self/attr', 'a volume over what this runtime writes to'],
    ['/vol/../proc/sys', 'by another way'],
    ['/link/self', 'by a link of the image'],
  ])('is not covered by a mount at %s: %s', (destination) => {
    const volume = join(bench.dir, bench.id());
    mkdirSync(join(volume, 'self/attr'), { recursive: true });
    const bundle = bench.bundle((spec) => {
      spec.mounts.push({ destination, type: 'bind', source: volume, options: ['bind'] });
    });
    symlinkSync('/proc', join(bundle, 'rootfs/link'));
    const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toContain('cannot be mounted because it is inside /proc');
  });

  it('is not replaced by a part of a procfs either: only by one whole', () => {
    const bundle = bench.bundle((spec) => {
      spec.mounts = spec.mounts.filter(({ destination }) => destination !== '/proc');
      spec.mounts.push({ destination: '/proc', type: 'bind', source: '/proc/tty', options: ['bind'] });
    });
    expect(bench.myrunc('run', '-b', bundle, bench.id()).err).toContain('because it is inside /proc');
  });
});

describe('settings of the kernel (CVE-2025-52881)', () => {
  it('reach the kernel, though the image has a /proc/sys of its own', () => {
    const bundle = bench.bundle((spec) => {
      spec.linux.sysctl = { 'net.ipv4.ip_default_ttl': '77' };
      spec.process.args = ['cat', '/proc/sys/net/ipv4/ip_default_ttl'];
    });
    const fake = join(bundle, 'rootfs/proc/sys/net/ipv4');
    mkdirSync(fake, { recursive: true });
    writeFileSync(join(fake, 'ip_default_ttl'), 'fake');
    expect(bench.myrunc('run', '-b', bundle, bench.id())).toEqual({ status: 0, out: '77\n', err: '' });
    expect(readFileSync(join(fake, 'ip_default_ttl'), 'utf8')).toBe('fake');
  });

  it('reach the kernel where the container has no /proc but one of the image’s; and go there with the remedy taken out', async () => {
    const file = 'net/ipv4/ip_default_ttl';
    const bundle = bench.bundle((spec) => {
      spec.linux.sysctl = { 'net.ipv4.ip_default_ttl': '77' };
      spec.mounts = spec.mounts.filter(({ destination }) => destination !== '/proc');
    });
    const fake = join(bundle, 'rootfs/proc/sys', file);
    mkdirSync(dirname(fake), { recursive: true });
    writeFileSync(fake, 'fake');
    const inKernel = (pid: number): string =>
      spawnSync('nsenter', ['-t', String(pid), '-n', 'cat', `/proc/sys/${file}`], { encoding: 'utf8' })
        .stdout;
    const careless = await weakened(
      bench,
      'init.ts',
      'writeSysctls(c.proc,',
      'writeSysctls(openSync(`${c.state.rootfs}/proc`, 0),',
    );
    for (const [create, kernel, image] of [
      [bench.myrunc, '77\n', 'fake'],
      [careless, '64\n', '77ke'],
    ] as const) {
      const id = bench.id();
      expect(create('create', '-b', bundle, id)).toMatchObject({ status: 0, err: '' });
      expect(inKernel(pidOf(bench, id))).toBe(kernel);
      expect(readFileSync(fake, 'utf8')).toBe(image);
      bench.myrunc('delete', '-f', id);
    }
  });

  it('are those of the container alone, however their name is written', () => {
    for (const name of [
      'net/../kernel/core_pattern',
      'net/ipv4/../../kernel/core_pattern',
      'kernel.core_pattern',
    ]) {
      const before = readFileSync('/proc/sys/kernel/core_pattern', 'utf8');
      const bundle = bench.bundle((spec) => void (spec.linux.sysctl = { [name]: '|/evil' }));
      const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
      expect(status).toBe(1);
      expect(err).toContain('is not in a separate kernel namespace');
      expect(readFileSync('/proc/sys/kernel/core_pattern', 'utf8')).toBe(before);
    }
  });
});

describe('devices', () => {
  it('of the image’s that are something else are neither used nor changed', () => {
    const victim = join(bench.dir, 'victim');
    writeFileSync(victim, '', { mode: 0o600 });
    const bundle = bench.bundle(withoutDev);
    mkdirSync(join(bundle, 'rootfs/dev'));
    symlinkSync(victim, join(bundle, 'rootfs/dev/null'));
    const { status, err } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(status).toBe(1);
    expect(err).toContain('/dev/null');
    expect(statSync(victim).mode & 0o777).toBe(0o600);
    expect(existsSync(victim)).toBe(true);
  });
});
