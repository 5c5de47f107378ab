import type { CliOption } from './cli-command.ts';
import { parseMount, parseTmpfs, parseVolume, type MountBody, type Volume } from './cli-mounts.ts';
import { parseSecurityOpt } from './cli-security-opt.ts';
import { parseExpose, parsePublish, type PublishedPort } from './cli-ports.ts';
import {
  parseBytes,
  parseBytesOrUnlimited,
  parseCpus,
  parseDuration,
  parseEnv,
  parseInteger,
  parseKeyValue,
  parseNetwork,
  parseOneOf,
  parseRestart,
  parseStrictKeyValue,
} from './cli-values.ts';

/** What the flags of `run` and `create` say, checked; left out where a flag was not given. */
export interface ContainerFlags {
  addHost?: string[];
  attach?: string[];
  capAdd?: string[];
  capDrop?: string[];
  cgroupParent?: string;
  cgroupns?: string;
  cidfile?: string;
  cpuPeriod?: number;
  cpuQuota?: number;
  cpuShares?: number;
  /** billionths of a processor */
  cpus?: number;
  cpusetCpus?: string;
  cpusetMems?: string;
  device?: { PathOnHost: string; PathInContainer: string; CgroupPermissions: string }[];
  dns?: string[];
  dnsOption?: string[];
  dnsSearch?: string[];
  domainname?: string;
  entrypoint?: string;
  env?: string[];
  envFile?: string[];
  expose?: string[][];
  groupAdd?: string[];
  healthCmd?: string;
  /** nanoseconds, as the other durations of health */
  healthInterval?: number;
  healthRetries?: number;
  healthStartPeriod?: number;
  healthTimeout?: number;
  hostname?: string;
  init?: boolean;
  interactive?: boolean;
  ipc?: string;
  label?: [string, string][];
  labelFile?: string[];
  logDriver?: string;
  logOpt?: [string, string][];
  /** bytes, as the other sizes of memory */
  memory?: number;
  memoryReservation?: number;
  memorySwap?: number;
  memorySwappiness?: number;
  mount?: MountBody[];
  name?: string;
  network?: string;
  networkAlias?: string[];
  noHealthcheck?: boolean;
  oomKillDisable?: boolean;
  oomScoreAdj?: number;
  pid?: string;
  pidsLimit?: number;
  platform?: string;
  privileged?: boolean;
  publish?: PublishedPort[][];
  publishAll?: boolean;
  pull?: string;
  quiet?: boolean;
  readOnly?: boolean;
  restart?: { Name: string; MaximumRetryCount: number };
  rm?: boolean;
  runtime?: string;
  securityOpt?: string[];
  shmSize?: number;
  stopSignal?: string;
  /** seconds */
  stopTimeout?: number;
  sysctl?: [string, string][];
  tmpfs?: [string, string][];
  tty?: boolean;
  ulimit?: { Name: string; Hard: number; Soft: number }[];
  user?: string;
  userns?: string;
  uts?: string;
  volume?: Volume[];
  volumesFrom?: string[];
  workdir?: string;
}

/** The flags of `run` and `create`, in the order of the alphabet. */
export const CONTAINER_OPTIONS: readonly CliOption[] = [
  {
    flags: '--add-host <list>',
    help: 'Add a custom host-to-IP mapping (host:ip)',
    parse: parseExtraHost,
    list: true,
  },
  { flags: '-a, --attach <list>', help: 'Attach to STDIN, STDOUT or STDERR', parse: parseStream, list: true },
  { flags: '--cap-add <list>', help: 'Add Linux capabilities', parse: parseCapability, list: true },
  { flags: '--cap-drop <list>', help: 'Drop Linux capabilities', parse: parseCapability, list: true },
  { flags: '--cgroup-parent <string>', help: 'Optional parent cgroup for the container' },
  {
    flags: '--cgroupns <string>',
    help: 'Cgroup namespace to use (host|private)',
    parse: parseOneOf('host', 'private'),
  },
  { flags: '--cidfile <string>', help: 'Write the container ID to the file' },
  {
    flags: '--cpu-period <int>',
    help: 'Limit CPU CFS (Completely Fair Scheduler) period',
    parse: parseInteger(0),
  },
  {
    flags: '--cpu-quota <int>',
    help: 'Limit CPU CFS (Completely Fair Scheduler) quota',
    parse: parseInteger(),
  },
  { flags: '-c, --cpu-shares <int>', help: 'CPU shares (relative weight)', parse: parseInteger(0) },
  { flags: '--cpus <decimal>', help: 'Number of CPUs', parse: parseCpus },
  {
    flags: '--cpuset-cpus <string>',
    help: 'CPUs in which to allow execution (0-3, 0,1)',
    parse: parseCpuset,
  },
  {
    flags: '--cpuset-mems <string>',
    help: 'MEMs in which to allow execution (0-3, 0,1)',
    parse: parseCpuset,
  },
  { flags: '--device <list>', help: 'Add a host device to the container', parse: parseDevice, list: true },
  { flags: '--dns <list>', help: 'Set custom DNS servers', parse: parseAddress, list: true },
  { flags: '--dns-option <list>', help: 'Set DNS options', list: true },
  { flags: '--dns-search <list>', help: 'Set custom DNS search domains', list: true },
  { flags: '--domainname <string>', help: 'Container NIS domain name' },
  { flags: '--entrypoint <string>', help: 'Overwrite the default ENTRYPOINT of the image' },
  { flags: '-e, --env <list>', help: 'Set environment variables', parse: parseEnv, list: true },
  { flags: '--env-file <list>', help: 'Read in a file of environment variables', list: true },
  { flags: '--expose <list>', help: 'Expose a port or a range of ports', parse: parseExpose, list: true },
  { flags: '--group-add <list>', help: 'Add additional groups to join', list: true },
  { flags: '--health-cmd <string>', help: 'Command to run to check health' },
  {
    flags: '--health-interval <duration>',
    help: 'Time between running the check (ms|s|m|h)',
    parse: parseDuration,
  },
  {
    flags: '--health-retries <int>',
    help: 'Consecutive failures needed to report unhealthy',
    parse: parseInteger(0),
  },
  {
    flags: '--health-start-period <duration>',
    help: 'Time for the container to start before failures count',
    parse: parseDuration,
  },
  {
    flags: '--health-timeout <duration>',
    help: 'Maximum time to allow one check to run (ms|s|m|h)',
    parse: parseDuration,
  },
  { flags: '-h, --hostname <string>', help: 'Container host name', parse: parseHostname },
  { flags: '--init', help: 'Refused: this engine has no init program to put in front of yours' },
  { flags: '-i, --interactive', help: 'Keep STDIN open even if not attached' },
  { flags: '--ipc <string>', help: 'IPC mode to use' },
  { flags: '-l, --label <list>', help: 'Set meta data on a container', parse: parseKeyValue, list: true },
  { flags: '--label-file <list>', help: 'Read in a line delimited file of labels', list: true },
  { flags: '--log-driver <string>', help: 'Logging driver for the container' },
  { flags: '--log-opt <list>', help: 'Log driver options', parse: parseStrictKeyValue, list: true },
  { flags: '-m, --memory <bytes>', help: 'Memory limit', parse: parseBytes },
  { flags: '--memory-reservation <bytes>', help: 'Memory soft limit', parse: parseBytes },
  {
    flags: '--memory-swap <bytes>',
    help: "Swap limit equal to memory plus swap: '-1' to enable unlimited swap",
    parse: parseBytesOrUnlimited,
  },
  {
    flags: '--memory-swappiness <int>',
    help: 'Tune container memory swappiness (0 to 100)',
    parse: parseInteger(-1, 100),
  },
  {
    flags: '--mount <mount>',
    help: 'Attach a filesystem mount to the container',
    parse: parseMount,
    list: true,
  },
  { flags: '--name <string>', help: 'Assign a name to the container', parse: parseName },
  { flags: '--network <network>', help: 'Connect a container to a network', parse: parseNetwork },
  { flags: '--net <network>', help: 'The same as --network', parse: parseNetwork },
  { flags: '--network-alias <list>', help: 'Add network-scoped alias for the container', list: true },
  { flags: '--no-healthcheck', help: 'Disable any container-specified HEALTHCHECK' },
  { flags: '--oom-kill-disable', help: 'Disable OOM Killer' },
  {
    flags: '--oom-score-adj <int>',
    help: "Tune host's OOM preferences (-1000 to 1000)",
    parse: parseInteger(-1000, 1000),
  },
  { flags: '--pid <string>', help: 'PID namespace to use' },
  {
    flags: '--pids-limit <int>',
    help: 'Tune container pids limit (set -1 for unlimited)',
    parse: parseInteger(-1),
  },
  { flags: '--platform <string>', help: 'Set platform if server is multi-platform capable' },
  { flags: '--privileged', help: 'Give extended privileges to this container' },
  {
    flags: '-p, --publish <list>',
    help: "Publish a container's port(s) to the host",
    parse: parsePublish,
    list: true,
  },
  { flags: '-P, --publish-all', help: 'Publish all exposed ports to random ports' },
  {
    flags: '--pull <string>',
    help: 'Pull image before running ("always", "missing", "never")',
    parse: parseOneOf('always', 'missing', 'never'),
  },
  { flags: '-q, --quiet', help: 'Suppress the pull output' },
  { flags: '--read-only', help: "Mount the container's root filesystem as read only" },
  {
    flags: '--restart <string>',
    help: 'Restart policy to apply when a container exits',
    parse: parseRestart,
  },
  {
    flags: '--rm',
    help: 'Automatically remove the container and its associated anonymous volumes when it exits',
  },
  { flags: '--runtime <string>', help: 'Runtime to use for this container' },
  { flags: '--security-opt <list>', help: 'Security Options', list: true, parse: parseSecurityOpt },
  { flags: '--shm-size <bytes>', help: 'Size of /dev/shm', parse: parseBytes },
  { flags: '--stop-signal <string>', help: 'Signal to stop the container' },
  {
    flags: '--stop-timeout <int>',
    help: 'Timeout (in seconds) to stop a container',
    parse: parseInteger(-1),
  },
  { flags: '--sysctl <map>', help: 'Sysctl options', parse: parseStrictKeyValue, list: true },
  { flags: '--tmpfs <list>', help: 'Mount a tmpfs directory', parse: parseTmpfs, list: true },
  { flags: '-t, --tty', help: 'Allocate a pseudo-TTY' },
  { flags: '--ulimit <ulimit>', help: 'Ulimit options', parse: parseUlimit, list: true },
  { flags: '-u, --user <string>', help: 'Username or UID (format: <name|uid>[:<group|gid>])' },
  { flags: '--userns <string>', help: 'User namespace to use' },
  { flags: '--uts <string>', help: 'UTS namespace to use' },
  { flags: '-v, --volume <list>', help: 'Bind mount a volume', parse: parseVolume, list: true },
  { flags: '--volumes-from <list>', help: 'Mount volumes from the specified container(s)', list: true },
  { flags: '-w, --workdir <string>', help: 'Working directory inside the container', parse: parseWorkdir },
];

function parseStream(text: string): string {
  const stream = text.toLowerCase();
  if (!['stdin', 'stdout', 'stderr'].includes(stream))
    throw new RangeError('valid streams are STDIN, STDOUT and STDERR');
  return stream;
}

function parseCapability(text: string): string {
  const name = text.trim().toUpperCase();
  if (!/^[A-Z_]+$/.test(name)) throw new RangeError('give a capability such as NET_ADMIN, or ALL');
  return name === 'ALL' || name.startsWith('CAP_') ? name : `CAP_${name}`;
}

function parseCpuset(text: string): string {
  if (!/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(text))
    throw new RangeError('give numbers and ranges, such as 0-3 or 0,2');
  return text;
}

function parseExtraHost(text: string): string {
  const [name, ...address] = text.split(/[:=]/);
  if (!name || !address.join('')) throw new RangeError(`bad format for add-host: "${text}": give host:ip`);
  return text.includes(':') && !/^[^:]*=/.test(text) ? text : text.replace('=', ':');
}

function parseDevice(text: string): NonNullable<ContainerFlags['device']>[number] {
  const [source = '', second, third] = text.split(':');
  const secondIsMode = second !== undefined && third === undefined && /^[rwm]{1,3}$/.test(second);
  const mode = secondIsMode ? second : (third ?? 'rwm');
  if (!source.startsWith('/') || !/^[rwm]{1,3}$/.test(mode))
    throw new RangeError('give /dev/name[:/dev/name-in-container][:rwm]');
  return {
    PathOnHost: source,
    PathInContainer: secondIsMode ? source : (second ?? source),
    CgroupPermissions: mode,
  };
}

function parseAddress(text: string): string {
  if (!/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/.test(text))
    throw new RangeError(`${text} is not an ip address`);
  return text;
}

function parseHostname(text: string): string {
  if (text.length > 64) throw new RangeError('a host name has at most 64 characters');
  return text;
}

function parseName(text: string): string {
  if (!/^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(text))
    throw new RangeError('Invalid container name, only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed');
  return text;
}

function parseWorkdir(text: string): string {
  if (!text.startsWith('/')) throw new RangeError('the working directory needs to be an absolute path');
  return text;
}

function parseUlimit(text: string): { Name: string; Hard: number; Soft: number } {
  const match = /^([a-z]+)=(-?\d+)(?::(-?\d+))?$/.exec(text);
  if (!match) throw new RangeError('give type=soft[:hard], such as nofile=1024:2048');
  const [, Name = '', soft, hard] = match;
  const Soft = Number(soft);
  const Hard = Number(hard ?? soft);
  if (Hard >= 0 && (Soft > Hard || Soft < 0))
    throw new RangeError('ulimit soft limit must be less than or equal to hard limit');
  return { Name, Hard, Soft };
}
