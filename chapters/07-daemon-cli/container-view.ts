import { commandOf, isRunning, NEVER, type ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';

/** A container as GET /containers/ID/json shows it: Docker's shape. Source: Engine API, ContainerInspect. */
export function inspectView(daemon: Daemon, record: ContainerRecord): Record<string, unknown> {
  const { id, name, config, hostConfig, state } = record;
  const directory = daemon.containers.directory(id);
  const [path = '', ...args] = commandOf(config);
  return {
    Id: id,
    Created: record.created,
    Path: path,
    Args: args,
    State: {
      Status: state.status,
      Running: isRunning(record),
      Paused: state.status === 'paused',
      Restarting: state.status === 'restarting',
      OOMKilled: state.oomKilled,
      Dead: state.status === 'dead',
      Pid: state.pid,
      ExitCode: state.exitCode,
      Error: state.error,
      StartedAt: state.startedAt,
      FinishedAt: state.finishedAt,
    },
    Image: record.imageId,
    ResolvConfPath: `${directory}/resolv.conf`,
    HostnamePath: `${directory}/hostname`,
    HostsPath: `${directory}/hosts`,
    LogPath: daemon.containers.journal(id),
    Name: `/${name}`,
    RestartCount: record.restartCount,
    Driver: 'overlayfs',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: nonEmpty(daemon.execs.of(id).flatMap((exec) => (exec.state === 'running' ? [exec.id] : []))),
    HostConfig: hostConfig,
    GraphDriver: { Name: 'overlayfs', Data: null },
    Mounts: mountViews(record),
    Config: config,
    NetworkSettings: networkSettings(daemon, record),
  };
}

const nonEmpty = <T>(list: T[]): T[] | null => (list.length > 0 ? list : null);

function mountViews({ mounts }: ContainerRecord): object[] {
  return mounts.map((mount) => ({
    Type: mount.type,
    ...(mount.name !== undefined && { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.type === 'volume' && { Driver: 'local' }),
    Mode: mount.mode,
    RW: mount.writable,
    Propagation: mount.propagation,
  }));
}

function networkSettings(daemon: Daemon, record: ContainerRecord): Record<string, unknown> {
  const { endpoint } = record;
  return {
    Bridge: '',
    SandboxID: isRunning(record) ? record.id : '',
    SandboxKey: record.state.pid ? `/proc/${record.state.pid}/ns/net` : '',
    Ports: {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: endpoint?.id ?? '',
    Gateway: endpoint?.gateway ?? '',
    GlobalIPv6Address: '',
    GlobalIPv6PrefixLen: 0,
    IPAddress: endpoint?.address ?? '',
    IPPrefixLen: endpoint?.prefixLength ?? 0,
    IPv6Gateway: '',
    MacAddress: endpoint?.mac ?? '',
    Networks: endpointViews(daemon, record),
  };
}

/** By the network's name; a container that shares another's network has none of its own. */
export function endpointViews(
  { network }: Daemon,
  { endpoint, hostConfig: { NetworkMode } }: ContainerRecord,
): Record<string, object> {
  if (NetworkMode.startsWith('container:')) return {};
  return {
    [NetworkMode]: {
      IPAMConfig: null,
      Links: null,
      Aliases: null,
      MacAddress: endpoint?.mac ?? '',
      DriverOpts: null,
      GwPriority: 0,
      NetworkID: NetworkMode === 'bridge' ? network.id : fixedNetworkId(NetworkMode),
      EndpointID: endpoint?.id ?? '',
      Gateway: endpoint?.gateway ?? '',
      IPAddress: endpoint?.address ?? '',
      IPPrefixLen: endpoint?.prefixLength ?? 0,
      IPv6Gateway: '',
      GlobalIPv6Address: '',
      GlobalIPv6PrefixLen: 0,
      DNSNames: null,
    },
  };
}

/** `host` and `none` are no networks that anybody made: an id that says their name. */
export const fixedNetworkId = (name: string): string => Buffer.from(name).toString('hex').padEnd(64, '0');

/**
 * A container as `docker ps` shows it. Source: Engine API, ContainerList.
 * @param imageOf the image that a name stands for now: one whose name was given to another is shown by its id
 */
export function listView(
  daemon: Daemon,
  record: ContainerRecord,
  imageOf: (name: string) => string | undefined,
): Record<string, unknown> {
  const { config } = record;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: imageOf(record.imageName) === record.imageId ? record.imageName : record.imageId,
    ImageID: record.imageId,
    Command: commandText(commandOf(config)),
    Created: Math.floor(Date.parse(record.created) / 1000),
    Ports: Object.keys(config.ExposedPorts ?? {}).map((port) => {
      const [number, protocol] = port.split('/');
      return { PrivatePort: Number(number), Type: protocol ?? 'tcp' };
    }),
    Labels: config.Labels,
    State: record.state.status,
    Status: statusText(record, Date.now()),
    HostConfig: { NetworkMode: record.hostConfig.NetworkMode },
    NetworkSettings: { Networks: endpointViews(daemon, record) },
    Mounts: mountViews(record),
  };
}

function commandText(command: readonly string[]): string {
  return command.map((word) => (/[\s'"]/.test(word) ? `'${word}'` : word)).join(' ');
}

/** `Up 3 minutes`, `Exited (0) 2 hours ago`, `Created`. */
export function statusText({ state }: Pick<ContainerRecord, 'state'>, at: number): string {
  const since = (moment: string): string =>
    moment === NEVER ? '' : humanDuration((at - Date.parse(moment)) / 1000);
  switch (state.status) {
    case 'running':
      return `Up ${since(state.startedAt)}`;
    case 'paused':
      return `Up ${since(state.startedAt)} (Paused)`;
    case 'restarting':
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'exited':
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
  }
}

/** As Docker says durations: roughly. Source: docker/go-units, HumanDuration. */
export function humanDuration(seconds: number): string {
  if (seconds < 1) return 'Less than a second';
  if (seconds < 2) return '1 second';
  if (seconds < 60) return `${Math.floor(seconds)} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.round(seconds / 3600);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 7 * 2) return `${Math.floor(hours / 24)} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}
