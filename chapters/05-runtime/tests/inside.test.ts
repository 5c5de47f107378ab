import { chownSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { knownCapabilities, namespacesOf } from '../../01-processes/index.ts';
import { traces, workbench, type Workbench } from './workbench.ts';

let bench: Workbench;
beforeAll(async () => void (bench = await workbench()));
afterAll(() => {
  expect(traces(bench)).toEqual([]);
  bench.remove();
});

describe('what the program finds', () => {
  it('is PID 1, on a host of its own name, with lo alone, and up', () => {
    const { out } = bench.run(
      'echo $$; hostname; ls /sys/class/net; ip addr show lo',
      (spec) => void (spec.hostname = 'ada'),
    );
    expect(out).toMatch(/^1\nada\n(lo|[^:]*\blo\b)/);
    expect(out).toMatch(/<LOOPBACK,UP/);
  });

  it('has the usual devices and links, and can make no others', () => {
    const { out } = bench.run(
      'for d in null zero full random urandom tty; do stat -c "%n %t:%T %a" /dev/$d; done; readlink /dev/ptmx; readlink /dev/fd',
    );
    expect(out).toBe(
      '/dev/null 1:3 666\n/dev/zero 1:5 666\n/dev/full 1:7 666\n/dev/random 1:8 666\n/dev/urandom 1:9 666\n/dev/tty 5:0 666\npts/ptmx\n/proc/self/fd\n',
    );
    expect(bench.run('mknod /dev/kmsg2 c 1 11').status).not.toBe(0);
  });

  it('has the masked paths empty and the read-only paths read-only', () => {
    const { out } = bench.run(
      'wc -c < /proc/keys; ls /sys/firmware | wc -l; echo 1 > /proc/sys/vm/drop_caches; echo status $?',
    );
    expect(out).toBe('0\n0\nstatus 1\n');
  });

  it('cannot write to a read-only root, and can where it is not', () => {
    expect(bench.run('touch /x').err).toContain('Read-only file system');
    expect(bench.run('touch /x && echo ok', (spec) => void (spec.root!.readonly = false)).out).toBe('ok\n');
  });

  it('gets bind mounts with their options: read-only, nosuid, a single file', () => {
    const source = join(bench.dir, 'shared');
    mkdirSync(source, { recursive: true });
    writeFileSync(join(source, 'file'), 'from outside\n');
    const { out, err } = bench.run(
      'cat /mnt/dir/file /one; touch /mnt/dir/new; grep -c " /mnt/dir .*ro,nosuid" /proc/self/mountinfo',
      (spec) => {
        spec.root!.readonly = false;
        spec.mounts.push({
          destination: '/mnt/dir',
          type: 'bind',
          source,
          options: ['rbind', 'ro', 'nosuid', 'rprivate'],
        });
        spec.mounts.push({ destination: '/one', source: join(source, 'file'), options: ['bind'] });
      },
    );
    expect(out).toBe('from outside\nfrom outside\n1\n');
    expect(err).toContain('Read-only file system');
  });

  it('fills a tmpfs with what it covers, if asked (tmpcopyup)', () => {
    const { out } = bench.run('cat /etc/passwd | head -n1; touch /etc/new && echo writable', (spec) => {
      spec.mounts.push({ destination: '/etc', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup'] });
    });
    expect(out).toBe('root:x:0:0:root:/root:/bin/sh\nwritable\n');
  });

  it('sees its own cgroups only', () => {
    const { out } = bench.run('cat /proc/self/cgroup; ls /sys/fs/cgroup | wc -l');
    for (const line of out.trim().split('\n').slice(0, -1)) expect(line).toMatch(/:\/$/);
    expect(Number(out.trim().split('\n').at(-1))).toBeGreaterThan(0);
  });

  it('runs as the user of config.json, with its groups, umask, home and working directory', () => {
    const { out } = bench.run(
      'id; umask; echo $HOME; pwd; touch /dev/shm/f && stat -c %u:%g:%a /dev/shm/f',
      (spec) => {
        spec.process.user = { uid: 1000, gid: 100, umask: 0o27, additionalGids: [5, 6] };
        spec.process.cwd = '/work/deep';
        spec.root!.readonly = false;
      },
    );
    expect(out).toBe('uid=1000(ada) gid=100 groups=5,6\n0027\n/home/ada\n/work/deep\n1000:100:640\n');
  });

  it('has exactly the five sets of capabilities', () => {
    const sets = {
      bounding: ['CAP_CHOWN', 'CAP_KILL', 'CAP_SETUID'],
      permitted: ['CAP_CHOWN', 'CAP_KILL'],
      effective: ['CAP_CHOWN', 'CAP_KILL'],
      inheritable: ['CAP_KILL'],
      ambient: ['CAP_KILL'],
    };
    const { out } = bench.run('grep Cap /proc/self/status', (spec) => {
      spec.process.user = { uid: 1000, gid: 1000 };
      spec.process.capabilities = sets;
    });
    const mask = (bits: number): string => bits.toString(16).padStart(16, '0');
    // For a user who is not root, what is ambient is what remains after the start of a program.
    expect(out).toBe(
      `CapInh:\t${mask(0x20)}\nCapPrm:\t${mask(0x20)}\nCapEff:\t${mask(0x20)}\nCapBnd:\t${mask(0xa1)}\nCapAmb:\t${mask(0x20)}\n`,
    );
  });

  it('has no capability at all where config.json gives none', () => {
    const { out } = bench.run(
      'grep -E "Cap(Prm|Bnd)" /proc/self/status',
      (spec) => void delete spec.process.capabilities,
    );
    expect(out).toBe('CapPrm:\t0000000000000000\nCapBnd:\t0000000000000000\n');
    expect(knownCapabilities().length).toBeGreaterThan(30);
  });

  it('has the limits, no_new_privs and the OOM score of config.json', () => {
    const { out } = bench.run(
      'ulimit -n; ulimit -Hn; grep NoNewPrivs /proc/self/status; cat /proc/self/oom_score_adj',
      (spec) => {
        spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 99, hard: 111 }];
        spec.process.oomScoreAdj = 321;
      },
    );
    expect(out).toBe('99\n111\nNoNewPrivs:\t1\n321\n');
  });

  it.each([true, false])('is filtered by seccomp, with no_new_privs %s', (noNewPrivileges) => {
    const { out, err } = bench.run('grep Seccomp: /proc/self/status; mkdir /dev/shm/x', (spec) => {
      spec.process.noNewPrivileges = noNewPrivileges;
      spec.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
      };
    });
    expect(out).toBe('Seccomp:\t2\n');
    expect(err).toContain('No space left on device');
  });

  it('obeys conditions on arguments in a filter', () => {
    const { out } = bench.run(
      'umask 0; mkdir -m 700 /dev/shm/a && echo a; chmod 0111 /dev/shm/a || echo refused',
      (spec) => {
        const args = [{ index: 2, value: 0o111, op: 'SCMP_CMP_EQ' }];
        spec.linux.seccomp = {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [
            { names: ['fchmodat'], action: 'SCMP_ACT_ERRNO', args },
            { names: ['chmod'], action: 'SCMP_ACT_ERRNO', args: [{ ...args[0]!, index: 1 }] },
          ],
        };
      },
    );
    expect(out).toBe('a\nrefused\n');
  });

  it('is root only to itself in a user namespace', () => {
    const bundle = bench.bundle((spec) => {
      spec.process.args = ['sh', '-c', 'id -u; cat /proc/self/uid_map; touch /mine && stat -c %u /mine'];
      spec.root!.readonly = false;
      spec.linux.namespaces!.push({ type: 'user' });
      spec.linux.uidMappings = spec.linux.gidMappings = [{ containerID: 0, hostID: 1234567, size: 65536 }];
      spec.mounts = spec.mounts.filter(({ type }) => type !== 'cgroup');
    });
    chownSync(join(bundle, 'rootfs'), 1234567, 1234567);
    const { out } = bench.myrunc('run', '-b', bundle, bench.id());
    expect(out).toMatch(/^0\n +0 +1234567 +65536\n0\n$/);
    expect(statSync(join(bundle, 'rootfs/mine')).uid).toBe(1234567);
  });

  it('joins a namespace by its path', () => {
    const { out, err } = bench.run('readlink /proc/self/ns/net', (spec) => {
      spec.linux.namespaces = spec.linux.namespaces!.map((ns) =>
        ns.type === 'network' ? { ...ns, path: `/proc/${process.pid}/ns/net` } : ns,
      );
      spec.mounts = spec.mounts.filter(({ type }) => type !== 'sysfs' && type !== 'cgroup');
    });
    expect(err).toBe('');
    expect(out).toBe(`${namespacesOf('self')!['net']}\n`);
  });

  it('gets settings of its own namespaces (sysctl), and none of the machine', () => {
    const { out } = bench.run('cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax', (spec) => {
      spec.linux.sysctl = { 'net.ipv4.ip_default_ttl': '77', 'kernel.msgmax': '4242' };
    });
    expect(out).toBe('77\n4242\n');
    expect(bench.run('true', (spec) => void (spec.linux.sysctl = { 'vm.swappiness': '1' })).err).toContain(
      'would change the machine',
    );
  });

  it('has no descriptor beside its three streams', () => {
    expect(bench.run('ls /proc/self/fd | wc -l; ls -l /proc/1/fd').out).toMatch(/^4\n/); // 0, 1, 2, and ls's own
  });
});
