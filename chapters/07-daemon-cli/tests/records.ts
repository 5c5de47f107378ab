import { completeHostConfig } from '../container-config.ts';
import { NEVER, type ContainerConfig, type ContainerRecord, type HostConfig } from '../container.ts';

/** A container's record as `create` makes it, for tests. */
export function recordOf(
  fields: Partial<ContainerRecord> & {
    host?: Partial<HostConfig>;
    runs?: Partial<ContainerConfig>;
  } = {},
): ContainerRecord {
  const { host = {}, runs = {}, ...rest } = fields;
  const id = rest.id ?? 'ab'.repeat(32);
  return {
    version: 1,
    id,
    name: 'calm_hopper',
    created: '2026-01-02T03:04:05.000000006Z',
    imageId: `sha256:${'1'.repeat(64)}`,
    imageName: 'busybox',
    imageSnapshot: '',
    config: {
      Hostname: id.slice(0, 12),
      Domainname: '',
      User: '',
      AttachStdin: false,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      OpenStdin: false,
      StdinOnce: false,
      Env: [],
      Cmd: ['sh'],
      Image: 'busybox',
      Volumes: null,
      WorkingDir: '',
      Entrypoint: null,
      OnBuild: null,
      Labels: {},
      ...runs,
    },
    hostConfig: completeHostConfig(host, 'myrunc'),
    mounts: [],
    endpoint: null,
    restartCount: 0,
    ...rest,
    state: {
      status: 'created',
      pid: 0,
      exitCode: 0,
      error: '',
      oomKilled: false,
      startedAt: NEVER,
      finishedAt: NEVER,
      stoppedByHand: false,
      journalStart: 0,
      ...rest.state,
    },
  };
}
