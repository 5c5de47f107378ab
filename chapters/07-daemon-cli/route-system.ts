import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, release, totalmem } from 'node:os';
import { hostPlatform } from '../04-overlayfs/index.ts';
import type { Call } from './call.ts';
import { isRunning } from './container.ts';
import type { Daemon } from './daemon.ts';
import { API_VERSION, OLDEST_API_VERSION, type Route } from './router.ts';
import { ENGINE_VERSION } from './version.ts';

/** The routes that tell of the engine itself. */
export const systemRoutes: readonly Route[] = [
  ['GET', '/_ping', ping],
  ['HEAD', '/_ping', ping],
  ['GET', '/version', version],
  ['GET', '/info', info],
];

function ping(_daemon: Daemon, call: Call): void {
  const answer = call.stream(200, 'text/plain; charset=utf-8', {
    // Without the buildx plugin the client builds in the old way.
    'Builder-Version': '1',
    'Cache-Control': 'no-cache, no-store, must-revalidate',
    Pragma: 'no-cache',
  });
  answer.end(call.request.method === 'HEAD' ? undefined : 'OK');
}

async function version(daemon: Daemon, call: Call): Promise<void> {
  const { os, architecture } = hostPlatform();
  const containerd = await daemon.containerd.version.version({});
  const engine = {
    ApiVersion: API_VERSION,
    MinAPIVersion: OLDEST_API_VERSION,
    Os: os,
    Arch: architecture,
    KernelVersion: release(),
    GitCommit: '',
    GoVersion: `none: Node.js ${process.version}`,
  };
  call.json(200, {
    Platform: { Name: 'Build your own Docker' },
    Components: [
      { Name: 'Engine', Version: ENGINE_VERSION, Details: { ...engine, Experimental: 'false' } },
      {
        Name: daemon.options.containerd === undefined ? 'mycontainerd' : 'containerd',
        Version: containerd.version,
        Details: { GitCommit: containerd.revision },
      },
      { Name: 'myrunc', Version: ENGINE_VERSION, Details: { GitCommit: '' } },
    ],
    Version: ENGINE_VERSION,
    ...engine,
  });
}

async function info(daemon: Daemon, call: Call): Promise<void> {
  const { os } = hostPlatform();
  const records = daemon.containers.all();
  const count = (status: string): number => records.filter(({ state }) => state.status === status).length;
  const { uuid } = await daemon.containerd.introspection.server({});
  call.json(200, {
    ID: daemon.id,
    Containers: records.length,
    ContainersRunning: count('running'),
    ContainersPaused: count('paused'),
    ContainersStopped: records.filter((record) => !isRunning(record)).length,
    Images: (await daemon.images.all()).length,
    Driver: daemon.storageDriver,
    DriverStatus: [
      ['driver-type', 'io.containerd.snapshotter.v1'],
      ['Snapshotter', daemon.containerd.snapshotter],
      ['containerd', uuid],
    ],
    Plugins: {
      Volume: ['local'],
      Network: ['bridge', 'host', 'null'],
      Authorization: null,
      Log: ['json-file'],
    },
    MemoryLimit: true,
    SwapLimit: true,
    CpuCfsPeriod: true,
    CpuCfsQuota: true,
    CPUShares: true,
    CPUSet: true,
    PidsLimit: true,
    IPv4Forwarding: true,
    Debug: daemon.options.debug,
    NFd: 0,
    OomKillDisable: daemon.machine.cgroupVersion === 1,
    NGoroutines: 0,
    SystemTime: new Date().toISOString(),
    LoggingDriver: 'json-file',
    CgroupDriver: 'cgroupfs',
    CgroupVersion: String(daemon.machine.cgroupVersion),
    NEventsListener: 0,
    KernelVersion: release(),
    OperatingSystem: operatingSystem(),
    OSVersion: '',
    OSType: os,
    // uname's word, not Go's.
    Architecture: { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string] ?? process.arch,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: {
      AllowNondistributableArtifactsCIDRs: null,
      AllowNondistributableArtifactsHostnames: null,
      InsecureRegistryCIDRs: ['127.0.0.0/8'],
      IndexConfigs: {},
      Mirrors: null,
    },
    NCPU: availableParallelism(),
    MemTotal: totalmem(),
    GenericResources: null,
    DockerRootDir: daemon.options.dataRoot,
    HttpProxy: '',
    HttpsProxy: '',
    NoProxy: '',
    Name: hostname(),
    Labels: [],
    ExperimentalBuild: false,
    ServerVersion: ENGINE_VERSION,
    Runtimes: { myrunc: { path: 'myrunc' } },
    DefaultRuntime: daemon.options.defaultRuntime,
    Swarm: {
      NodeID: '',
      NodeAddr: '',
      LocalNodeState: 'inactive',
      ControlAvailable: false,
      Error: '',
      RemoteManagers: null,
    },
    LiveRestoreEnabled: true,
    Isolation: '',
    InitBinary: '',
    ContainerdCommit: { ID: '', Expected: '' },
    RuncCommit: { ID: '', Expected: '' },
    InitCommit: { ID: '', Expected: '' },
    SecurityOptions: ['name=seccomp,profile=builtin'],
    Warnings: null,
  });
}

function operatingSystem(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8');
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}
