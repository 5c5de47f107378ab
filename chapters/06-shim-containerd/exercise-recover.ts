import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expectSame, expectThat, isErrno, Wrong, type Exercise, type Trial } from '../01-processes/index.ts';
import { decodeEvent } from './api.ts';
import { createEventBus } from './event-bus.ts';
import { answer, eventually } from './exercise-support.ts';
import { encode } from './protobuf.ts';
import { createSupervisor } from './supervisor.ts';
import { shimProtos, TASK_STATUS, taskServiceType } from './task-api.ts';
import { createBundle } from './task-bundle.ts';
import { CODE, serveTtrpc, TtrpcError } from './ttrpc.ts';

export const recovery: Exercise = {
  gap: '06.5',
  task: 'Find a shim of an earlier server again, or clean up after it; and tell what ended while there was no server.',
  hints: [
    'A bundle on the disk says that there was a container. Only its shim knows what became of it, if there still is one. Four cases: it runs, it has ended, there is none, the shim is gone.',
    'findShimAddress and connectTask find the shim; taskState asks for the container; its error NotFound says that there is none. adopt keeps a task, cleanUpAfter is for a dead shim. An exit is told by events.tell, and noted in task.exits so that it is not told twice.',
    'no task: cleanUpAfter(bundle). NotFound: shutDown(task), cleanUpByShim, removeBundleQuietly. Else adopt(task); if state.status is TASK_STATUS.STOPPED: task.exits.set(id, { pid, exitStatus, exitedAt }) and events.tell(namespace, "/tasks/exit", "TaskExit", { containerId: id, id, … }).',
  ],
  check: checkRecover,
  wrong: [
    {
      mistake: 'keeps every shim that answers, and asks nothing',
      code: `const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return cleanUpAfter(bundle);
void task.disconnected.then(followShimLog(bundle, log));
adopt(task);`,
      diagnosis: 'while nobody listened',
    },
    {
      mistake: 'takes a dead shim’s bundle away, and says nothing',
      code: `const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return removeBundleQuietly(bundle);
adopt(task);`,
      diagnosis: 'cleanUpAfter',
    },
    {
      mistake: 'lets one dead shim end the whole start',
      code: `const address = await findShimAddress(bundle);
if (!address) return cleanUpAfter(bundle);
adopt(await connectTask(bundle, address));`,
      diagnosis: 'a socket on which nobody listens',
    },
    {
      mistake: 'tells that all of them have ended',
      code: recoverOf({ stopped: '' }),
      diagnosis: 'still runs',
    },
    {
      mistake: 'keeps shims that have no container',
      code: recoverOf({ none: `if (isGrpcError(state, 'NotFound')) return adopt(task);` }),
      diagnosis: 'never got its container',
    },
    {
      mistake: 'does not note what it has told',
      code: recoverOf({ note: '' }),
      diagnosis: 'told twice',
    },
  ],
};

/** The gap 06.5 with one of its parts changed. */
function recoverOf({ none, stopped, note }: { none?: string; stopped?: string; note?: string }): string {
  return `const { namespace, id } = bundle;
const address = await findShimAddress(bundle);
const task = address && (await connectTask(bundle, address).catch(() => undefined));
if (!task) return cleanUpAfter(bundle);
void task.disconnected.then(followShimLog(bundle, log));
const state = await taskState(task).catch((error: Error) => error);
${
  none ??
  `if (isGrpcError(state, 'NotFound')) {
  await shutDown(task);
  await cleanUpByShim(bundle, caller).catch(() => undefined);
  return removeBundleQuietly(bundle);
}`
}
adopt(task);
if (state instanceof Error) return;
${stopped ?? `if (state.status !== TASK_STATUS.STOPPED) return;`}
const { pid, exitStatus, exitedAt } = state;
${note ?? `task.exits.set(id, { pid, exitStatus, exitedAt });`}
events.tell(namespace, '/tasks/exit', 'TaskExit', { containerId: id, id, pid, exitStatus, exitedAt: exitedAt ?? GO_ZERO_TIME });`;
}

async function checkRecover(t: Trial): Promise<void> {
  const folder = t.folder();
  const namespace = t.word();
  const [running, ended, dead, empty] = [t.word(), t.word(), t.word(), t.word()];
  const [pid, exitStatus, killed] = [t.number(2, 30_000), t.number(1, 100), t.number(101, 127)];
  const exitedAt = { seconds: t.number(1, 1e9), nanos: t.number(0, 999_999_999) };
  const places = { root: join(folder, 'root'), state: join(folder, 'state') };

  // The shim's program, which is called to clean up: it notes so, and answers.
  const shim = join(folder, 'shim');
  const response = { pid, exitStatus: killed, exitedAt };
  writeFileSync(
    `${shim}.answer`,
    encode(shimProtos().lookupType('containerd.task.v2.DeleteResponse'), response),
  );
  writeFileSync(shim, `#!/bin/sh\necho "$@" >> '${shim}.calls'\ncat '${shim}.answer'\n`);
  chmodSync(shim, 0o755);

  const bundles = new Map<string, string>();
  const shutDown = new Set<string>();
  for (const id of [running, ended, dead, empty]) {
    const bundle = await createBundle(places, { namespace, id, shim, spec: Buffer.from('{}') });
    bundles.set(id, bundle.path);
    const path = join(folder, `${id}.sock`);
    writeFileSync(join(bundle.path, 'address'), `unix://${path}`);
    await serveShim(t, path, {
      state: async () => {
        if (id === empty) throw new TtrpcError(CODE.NOT_FOUND, 'no container');
        const common = { id, execId: '', bundle: bundle.path, pid };
        return id === running
          ? { ...common, status: TASK_STATUS.RUNNING }
          : { ...common, status: TASK_STATUS.STOPPED, exitStatus, exitedAt };
      },
      shutdown: async () => {
        shutDown.add(id);
        return {};
      },
    });
    // A shim that died leaves its socket, and nobody behind it.
    if (id === dead) renameSync(path, `${path}.moved`);
    if (id === dead) await leaveDeadSocket(path);
  }

  const events = createEventBus();
  const told: { topic: string; id: string; status: number }[] = [];
  const stop = new AbortController();
  t.cleanup(() => stop.abort());
  void (async () => {
    for await (const { topic, event } of events.subscribe([], stop.signal)) {
      const known = decodeEvent(event);
      if (known?.type === 'TaskExit' || known?.type === 'TaskDelete')
        told.push({ topic, id: known.containerId, status: known.exitStatus });
    }
  })();
  const toldOf = (id: string): string[] =>
    told.filter((one) => one.id === id).map(({ topic, status }) => `${topic} ${status}`);
  const caller = {
    address: join(folder, 'c.sock'),
    publishBinary: '/bin/true',
    beside: folder,
    debug: false,
  };
  const supervisor = createSupervisor(places, caller, events, () => undefined);
  t.cleanup(() => supervisor.leave());
  expectSame('the tasks of a new server', [], supervisor.list(namespace), '');
  try {
    await supervisor.recover();
  } catch (error) {
    if (!isErrno(error, 'ECONNREFUSED', 'ENOENT')) throw error;
    const cause =
      'A shim that died leaves a socket on which nobody listens. That is one of the cases, and must not end the server.';
    throw new Wrong({ expected: 'the server to come up', observed: answer(error).message, cause });
  }
  await eventually(() => toldOf(ended).length > 0 && toldOf(dead).length > 1, 500);

  expectSame(
    'what is told of a container whose shim is gone',
    [`/tasks/exit ${killed}`, `/tasks/delete ${killed}`],
    toldOf(dead),
    'Its clients wait for its end, and processes of it may still run: cleanUpAfter.',
  );
  expectThat(
    existsSync(`${shim}.calls`) && readFileSync(`${shim}.calls`, 'utf8').includes(dead),
    'its shim’s program to have been called to clean up',
    'no call',
    'cleanUpAfter does this.',
  );
  expectSame(
    'what is told of a container that ended without a server',
    [`/tasks/exit ${exitStatus}`],
    toldOf(ended),
    'It ended while nobody listened: ask the shim (taskState), and tell it now.',
  );
  expectSame('what is told of one that runs', [], toldOf(running), 'It still runs: tell nothing.');
  expectThat(
    !supervisor.has(namespace, empty) && shutDown.has(empty) && !existsSync(bundles.get(empty)!),
    'a shim without a container to be shut down, and its bundle to be gone',
    supervisor.has(namespace, empty) ? 'a task' : 'a shim or a bundle that is left',
    'It never got its container, or has deleted it: nobody will ever ask for it. shutDown, cleanUpByShim, removeBundleQuietly.',
  );
  const ids = supervisor.list(namespace).map(({ bundle }) => bundle.id);
  expectSame('the tasks', [running, ended].sort(), ids.sort(), 'Both have a shim that answers: adopt.');
  expectSame(
    'the bundles',
    [running, ended].sort(),
    readdirSync(dirname(bundles.get(running)!)).sort(),
    'Those of live containers stay, the others go.',
  );

  // The shim found nobody home when its container ended, and now tells again.
  supervisor.receive(exitOf({ namespace, id: ended, pid, exitStatus, exitedAt }));
  await sleep(50);
  expectSame(
    'what is told when its shim tells again',
    [`/tasks/exit ${exitStatus}`],
    toldOf(ended),
    'The same end was told twice: note it in task.exits before you tell it.',
  );
}

type Exited = { namespace: string; id: string; pid: number; exitStatus: number };

/** A shim's message that a container's first process has ended. */
function exitOf({
  namespace,
  id,
  ...exit
}: Exited & { exitedAt: object }): Parameters<ReturnType<typeof createSupervisor>['receive']>[0] {
  const value = encode(shimProtos().lookupType('containerd.events.TaskExit'), {
    containerId: id,
    id,
    ...exit,
  });
  const event = { typeUrl: 'containerd.events.TaskExit', value };
  return { timestamp: null, namespace, topic: '/tasks/exit', event };
}

/** Serves the Task service as a shim does; Shutdown ends its connections. */
async function serveShim(
  t: Trial,
  path: string,
  functions: Record<'state' | 'shutdown', () => Promise<object>>,
): Promise<void> {
  const server = createServer();
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  const hangUp = (): void => sockets.forEach((socket) => socket.destroy());
  const shutdown = async (): Promise<object> => {
    setTimeout(hangUp, 20);
    return functions.shutdown();
  };
  serveTtrpc(server, [{ service: taskServiceType(), functions: { ...functions, shutdown } }]);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.cleanup(() => {
    hangUp();
    server.close();
  });
}

/** A socket's file without anyone who listens. */
async function leaveDeadSocket(path: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(`${path}.tmp`, resolve));
  renameSync(`${path}.tmp`, path);
  await new Promise((resolve) => server.close(resolve));
}
