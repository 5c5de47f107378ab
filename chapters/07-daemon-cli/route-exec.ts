import { randomBytes } from 'node:crypto';
import { badParameter, conflict, notFound } from './api-error.ts';
import { compareVersions, type Route } from './router.ts';
import { integer, MULTIPLEXED_STREAM, RAW_STREAM, type Call } from './call.ts';
import { tell } from './container-events.ts';
import type { Daemon } from './daemon.ts';
import type { Exec } from './exec-store.ts';
import { checkExecutable, startExec } from './exec.ts';

/** The routes of commands in running containers. */
export const execRoutes: readonly Route[] = [
  ['POST', '/containers/{name}/exec', create],
  ['POST', '/exec/{id}/start', start],
  ['POST', '/exec/{id}/resize', resize],
  ['GET', '/exec/{id}/json', inspect],
];

interface ExecConfig {
  Cmd: string[];
  Env: string[] | null;
  User: string;
  WorkingDir: string;
  Tty: boolean;
  Privileged: boolean;
  AttachStdin: boolean;
  AttachStdout: boolean;
  AttachStderr: boolean;
  DetachKeys: string;
}

function named(daemon: Daemon, call: Call): Exec {
  const id = call.params['id']!;
  const exec = daemon.execs.get(id);
  if (!exec) throw notFound(`No such exec instance: ${id}`);
  return exec;
}

async function create(daemon: Daemon, call: Call): Promise<void> {
  const record = daemon.containers.find(call.params['name']!);
  await daemon.runs.of(record).settled();
  checkExecutable(record);
  const body = await call.body<ExecConfig>();
  if (!body.Cmd?.length) throw badParameter('No exec command specified');
  if (body.WorkingDir && !body.WorkingDir.startsWith('/'))
    throw badParameter(`Cwd must be an absolute path: ${JSON.stringify(body.WorkingDir)}`);
  const exec = daemon.execs.add({
    id: randomBytes(32).toString('hex'),
    containerId: record.id,
    command: body.Cmd,
    env: body.Env ?? [],
    user: body.User ?? '',
    workingDir: body.WorkingDir ?? '',
    tty: body.Tty ?? false,
    privileged: body.Privileged ?? false,
    attachStdin: body.AttachStdin ?? false,
    attachStdout: body.AttachStdout ?? false,
    attachStderr: body.AttachStderr ?? false,
    detachKeys: body.DetachKeys ?? '',
  });
  tell(daemon, record, `exec_create: ${exec.command.join(' ')}`, { execID: exec.id });
  call.json(201, { Id: exec.id });
}

async function start(daemon: Daemon, call: Call): Promise<void> {
  const exec = named(daemon, call);
  const body = await call.body<{ Detach: boolean; Tty: boolean; ConsoleSize: [number, number] | null }>();
  const record = daemon.containers.find(exec.containerId);
  checkExecutable(record);
  if (exec.state !== 'created')
    throw conflict(
      `exec command ${exec.id} ${exec.state === 'running' ? 'is already running' : 'has already run'}`,
    );
  exec.state = 'running';
  if (body.Detach) {
    await startExec(daemon, record, exec, undefined);
    return call.empty(200);
  }
  const multiplexed = !exec.tty && compareVersions(call.version, '1.42') >= 0;
  const client = call.hijack(multiplexed ? MULTIPLEXED_STREAM : RAW_STREAM);
  await startExec(daemon, record, exec, client, body.ConsoleSize);
}

async function resize(daemon: Daemon, call: Call): Promise<void> {
  const exec = named(daemon, call);
  const [height, width] = [integer(call.query, 'h') ?? 0, integer(call.query, 'w') ?? 0];
  if (exec.state !== 'running' || exec.pid === 0) throw conflict(`exec ${exec.id} is not running`);
  await daemon.containerd.tasks.resizePty({
    containerId: exec.containerId,
    execId: exec.id,
    height,
    width,
  });
  call.empty(200);
}

function inspect(daemon: Daemon, call: Call): void {
  const exec = named(daemon, call);
  const [entrypoint, ...args] = exec.command;
  call.json(200, {
    ID: exec.id,
    Running: exec.state === 'running',
    ExitCode: exec.exitCode,
    ProcessConfig: {
      tty: exec.tty,
      entrypoint,
      arguments: args,
      privileged: exec.privileged,
      ...(exec.user && { user: exec.user }),
    },
    OpenStdin: exec.attachStdin,
    OpenStderr: exec.attachStderr,
    OpenStdout: exec.attachStdout,
    CanRemove: exec.state === 'ended',
    ContainerID: exec.containerId,
    DetachKeys: exec.detachKeys,
    Pid: exec.pid,
  });
}
