import type { ContainerDefaults } from '../04-overlayfs/index.ts';

/** Fields that are always there, with what they are when nobody has said anything; `undefined`: only when there is something. */
const FIELDS = {
  Hostname: '',
  Domainname: '',
  User: '',
  AttachStdin: false,
  AttachStdout: false,
  AttachStderr: false,
  ExposedPorts: undefined,
  Tty: false,
  OpenStdin: false,
  StdinOnce: false,
  Env: null,
  Cmd: null,
  Healthcheck: undefined,
  Image: '',
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  OnBuild: null,
  Labels: null,
  StopSignal: undefined,
  StopTimeout: undefined,
  Shell: undefined,
} as const;

/** A container's configuration as an image keeps it, and as `docker image inspect` shows it: every field, in Docker's order. */
export function wholeConfig(config: object): ContainerDefaults {
  const given = config as Record<string, unknown>;
  const isEmpty = (value: unknown): boolean =>
    value == null || value === '' || (typeof value === 'object' && Object.keys(value).length === 0);
  return Object.fromEntries(
    Object.entries(FIELDS).flatMap(([name, absent]): [string, unknown][] => {
      const value = given[name];
      if (absent === undefined) return isEmpty(value) ? [] : [[name, value]];
      return [[name, value ?? absent]];
    }),
  );
}
