import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { Command } from 'commander';
import chalk from 'chalk';
import { detectCgroups } from '../../chapters/03-cgroups/index.ts';

interface Finding {
  what: string;
  /** What was found; undefined when it is missing. */
  found: string | undefined;
  remedy: string;
}

/** `npm run doctor`: is it me or the machine? */
export const doctorCommand = (): Command =>
  new Command('doctor')
    .description('Look at the machine: kernel, cgroups, tools, rights; each with its remedy.')
    .option('--json', 'print it as data')
    .action((options: { json?: true }) => {
      const findings = examine();
      if (options.json) console.log(JSON.stringify(findings, null, 2));
      else
        for (const { what, found, remedy } of findings)
          console.log(
            found ? `${chalk.green('✓')} ${what}: ${found}` : `${chalk.red('✗')} ${what}: missing. ${remedy}`,
          );
      process.exitCode = findings.every((finding) => finding.found) ? 0 : 1;
    });

function examine(): Finding[] {
  const filesystems = readFileSync('/proc/filesystems', 'utf8');
  const tool = (name: string, pkg: string): Finding => ({
    what: name,
    found: findProgram(name),
    remedy: `Type: sudo apt-get install ${pkg}`,
  });
  return [
    { what: 'rights', found: process.getuid?.() === 0 ? 'root' : undefined, remedy: 'Work as root: sudo -i' },
    {
      what: 'Node',
      // As package.json's "engines".
      found: 'getBuiltinModule' in process ? process.versions.node : undefined,
      remedy: 'Install Node 20.16 or newer',
    },
    { what: 'Linux', found: release(), remedy: '' },
    { what: 'cgroups', found: cgroups(), remedy: 'Mount cgroup2 at /sys/fs/cgroup, as systemd does' },
    {
      what: 'overlay file system',
      found: filesystems.includes('\toverlay\n') || loads('overlay') ? 'there' : undefined,
      remedy: 'Type: sudo modprobe overlay',
    },
    {
      what: 'namespaces',
      found: existsSync('/proc/self/ns/user') ? 'there' : undefined,
      remedy: 'Boot a kernel with CONFIG_USER_NS',
    },
    {
      what: 'bridges',
      found: existsSync('/sys/module/bridge') || loads('bridge') ? 'there' : undefined,
      remedy: 'Type: sudo modprobe bridge',
    },
    tool('ip', 'iproute2'),
    tool('nft', 'nftables'),
    tool('busybox', 'busybox-static'),
    tool('unshare', 'util-linux'),
  ];
}

function cgroups(): string | undefined {
  try {
    return detectCgroups().layout;
  } catch {
    return undefined;
  }
}

const loads = (module: string): boolean => spawnSync('modprobe', ['-n', module]).status === 0;

function findProgram(name: string): string | undefined {
  return [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin']
    .map((directory) => `${directory}/${name}`)
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
