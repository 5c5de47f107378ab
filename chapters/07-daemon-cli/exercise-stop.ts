import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  expectSame,
  expectThat,
  SIGNALS,
  signalName,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import type { ContainerRecord } from './container.ts';
import type { Daemon } from './daemon.ts';
import { answer, within } from './exercise-support.ts';
import { openRuns, type Run } from './runs.ts';
import { stopContainer } from './stop-container.ts';

export const stopping: Exercise = {
  gap: '07.5',
  task: 'End a container: ask with its stop signal, wait, and kill what is still there.',
  hints: [
    'The container may end within the very call that signals it. Who begins to wait afterwards waits for ever.',
    'run.nextEnd() is a promise of the next end; within(seconds, promise) tells whether it came in time; signalContainer sends a signal and does not wait.',
    'ended = run.nextEnd(); await signalContainer(daemon, record, asked); if (!(await within(grace, ended))) { await signalContainer(…, SIGNALS["SIGKILL"]!); await ended; }',
  ],
  check: checkStop,
  wrong: [
    {
      mistake: 'begins to wait after the signal',
      code: `await signalContainer(daemon, record, asked);
const ended = run.nextEnd();
if (!(await within(grace, ended))) {
  await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
  await ended;
}`,
      diagnosis: 'Before the signal',
    },
    {
      mistake: 'kills at once',
      code: `const ended = run.nextEnd();
await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
await within(grace, ended);`,
      diagnosis: 'put things in order',
    },
    {
      mistake: 'sends SIGTERM whatever the container asks for',
      code: `const ended = run.nextEnd();
await signalContainer(daemon, record, SIGNALS['SIGTERM']!);
if (!(await within(grace, ended))) {
  await signalContainer(daemon, record, SIGNALS['SIGKILL']!);
  await ended;
}`,
      diagnosis: 'its own stop signal',
    },
    {
      mistake: 'never kills',
      code: `const ended = run.nextEnd();
await signalContainer(daemon, record, asked);
await within(grace, ended);`,
      diagnosis: 'can be ignored',
    },
    {
      mistake: 'does not wait for the end after SIGKILL',
      code: `const ended = run.nextEnd();
await signalContainer(daemon, record, asked);
if (!(await within(grace, ended))) await signalContainer(daemon, record, SIGNALS['SIGKILL']!);`,
      diagnosis: 'await ended',
    },
  ],
};

async function checkStop(t: Trial): Promise<void> {
  const signal = ['SIGUSR1', 'SIGUSR2', 'SIGINT', 'SIGQUIT', 'SIGHUP'][t.number(0, 4)]!;
  const code = t.number(1, 120);
  const polite = await contained(t, `trap "exit ${code}" ${signal.slice(3)}`, { StopSignal: signal });
  expectThat(polite.end() === undefined, 'a container that runs', polite.end(), '');
  const returned = await within(5000, polite.stop(1));
  const end = polite.end() ?? 'it still runs';
  expectSame(
    `the end of a container whose stop signal is ${signal}, on which it exits with ${code}`,
    `status ${code}`,
    end,
    end === 'SIGKILL'
      ? 'It had no chance to put things in order: ask with its stop signal first, and wait.'
      : 'A container may have its own stop signal: `asked`.',
  );
  expectThat(
    returned !== undefined,
    'stop to return when the container has ended',
    'it still waits',
    'The end was told while the signal was being sent, and missed. Before the signal ask for nextEnd().',
  );

  const stubborn = await contained(t, 'trap "" TERM', {});
  await within(5000, stubborn.stop(0.2));
  const atReturn = stubborn.end() ?? 'it still runs';
  await sleep(400);
  expectSame(
    'a container that ignores SIGTERM, when stop has returned',
    'SIGKILL',
    atReturn,
    stubborn.end() === undefined
      ? 'A signal can be ignored, all but one: when the patience is over, SIGKILL.'
      : 'It ended a moment later: stop has to mean stopped. After SIGKILL, await ended.',
  );
}

/** A process in a container's place: signals go to it, and its end is told, as containerd does. */
async function contained(
  t: Trial,
  trap: string,
  config: { StopSignal?: string },
): Promise<{ stop(seconds: number): Promise<true>; end(): string | undefined }> {
  const script = `${trap}; echo ready; while :; do sleep 0.05; done`;
  const child: ChildProcess = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.cleanup(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  const record = {
    id: t.word(),
    name: t.word(),
    config: { Labels: {}, Image: '', ...config },
    hostConfig: { PidMode: '' },
    state: { status: 'running', pid: child.pid },
  } as unknown as ContainerRecord;
  const runs = openRuns();
  let end: string | undefined;
  const ended = new Promise<void>((resolve) =>
    child.once('exit', (status, killed) => {
      end = killed ?? `status ${status}`;
      record.state.status = 'exited';
      runs.of(record).ended({ exitCode: status ?? 137 } as unknown as Parameters<Run['ended']>[0]);
      resolve();
    }),
  );
  const daemon = {
    runs,
    containers: { save: async () => undefined },
    events: { publish: () => undefined },
    look: () => undefined,
    containerd: {
      tasks: {
        kill: async ({ signal }: { signal: number }) => {
          const name = signalName(signal) as NodeJS.Signals;
          // An answer says that the signal is on its way, not that it has arrived.
          if (signal === SIGNALS['SIGKILL']) return void setTimeout(() => child.kill(name), 150);
          child.kill(name);
          // A quick end is told before the call has returned.
          await within(200, ended);
        },
      },
    },
  } as unknown as Daemon;
  const stop = async (seconds: number): Promise<true> => {
    try {
      await stopContainer(daemon, record, { seconds });
    } catch (error) {
      const { message } = answer(error);
      const cause = 'Nothing has to fail here: the container runs.';
      throw new Wrong({ expected: 'the container to be stopped', observed: message, cause });
    }
    return true;
  };
  return { stop, end: () => end };
}
