import { existsSync } from 'node:fs';
import { join } from 'node:path';
import {
  expectSame,
  expectThat,
  fork,
  inChild,
  isErrno,
  Wrong,
  type Exercise,
  type Trial,
} from '../01-processes/index.ts';
import { readControl } from './control-file.ts';
import { enter, scratch, treeWith } from './exercise-scratch.ts';
import { sleep } from './folders.ts';
import { applyWrites, type Write } from './limits.ts';

export const limits: Exercise = {
  gap: '03.3',
  task: 'Write limits to the files of a cgroup: all of them, or none and an error that names the limit.',
  hints: [
    'What can be known before is looked at before: whether the controller is there (folderOf), and whether its folder has the file. What only the kernel knows comes out at the write.',
    'Two passes over `writes`. The first finds the path of each and throws if there is none; the second calls writeControl, and wraps what that throws with `cause`.',
    'ready = writes.map(… folder = folderOf(controller); undefined or no file: throw new Error naming asked and controller; { path, value, asked }); for each: try writeControl(path, value) catch throw new Error(`${asked} was refused${explain(error, path)}`, { cause: error }).',
  ],
  check: checkApplyWrites,
  wrong: [
    {
      mistake: 'writes each as soon as it has found it',
      code: `for (const { controller, file, value, asked } of writes) {
  const folder = folderOf(controller);
  if (folder === undefined) throw new Error(\`\${asked} needs the \${controller} controller\`);
  const path = join(folder, file);
  if (!existsSync(path)) throw new Error(\`\${asked} can not be set: there is no \${path}\`);
  try {
    writeControl(path, value);
  } catch (error) {
    throw new Error(\`\${asked} was refused\${explain(error, path)}\`, { cause: error });
  }
}`,
      diagnosis: 'before the first write',
    },
    {
      mistake: 'leaves out what the machine cannot do',
      code: `for (const { controller, file, value, asked } of writes) {
  const folder = folderOf(controller);
  if (folder === undefined || !existsSync(join(folder, file))) continue;
  try {
    writeControl(join(folder, file), value);
  } catch (error) {
    throw new Error(\`\${asked} was refused\${explain(error, file)}\`, { cause: error });
  }
}`,
      diagnosis: 'nobody keeps',
    },
    {
      mistake: 'does not listen to the kernel',
      code: `const ready = writes.map(({ controller, file, value, asked }) => {
  const folder = folderOf(controller);
  if (folder === undefined) throw new Error(\`\${asked} needs the \${controller} controller\`);
  if (!existsSync(join(folder, file))) throw new Error(\`\${asked} can not be set: there is no \${file}\`);
  return { path: join(folder, file), value };
});
for (const { path, value } of ready) {
  try {
    writeControl(path, value);
  } catch (error) {
    explain(error, path);
  }
}`,
      diagnosis: 'The kernel refused',
    },
    {
      mistake: 'takes the folder of the first for all',
      code: `const folder = folderOf(writes[0]?.controller);
const ready = writes.map(({ controller, file, value, asked }) => {
  if (folder === undefined) throw new Error(\`\${asked} needs the \${controller} controller\`);
  if (!existsSync(join(folder, file))) throw new Error(\`\${asked} can not be set: there is no \${file}\`);
  return { path: join(folder, file), value, asked };
});
for (const { path, value, asked } of ready) {
  try {
    writeControl(path, value);
  } catch (error) {
    throw new Error(\`\${asked} was refused\${explain(error, path)}\`, { cause: error });
  }
}`,
      diagnosis: 'a folder of its own',
    },
  ],
};

function checkApplyWrites(t: Trial): void {
  const folder = { pids: scratch(t, treeWith('pids')), memory: scratch(t, treeWith('memory')) };
  const memoryFile = existsSync(join(folder.memory, 'memory.max')) ? 'memory.max' : 'memory.limit_in_bytes';
  const count = t.number(3, 9);
  const bytes = String(t.number(64, 512) * 1024 * 1024);
  const pids = (value: number | string): Write => ({
    controller: 'pids',
    file: 'pids.max',
    value: String(value),
    asked: 'pids.limit',
  });
  const memory: Write = { controller: 'memory', file: memoryFile, value: bytes, asked: 'memory.limit' };
  const apply = (...writes: Write[]): void =>
    applyWrites(writes, (controller) => folder[controller as keyof typeof folder]);
  const limitNow = (): string | undefined => readControl(join(folder.pids, 'pids.max'));

  expectSame('pids.max of a new cgroup', 'max', limitNow(), '');
  expectSame(
    'processes in a cgroup without a limit',
    count + 2,
    processesIn(t, scratch(t, treeWith('pids')), count + 2),
    '',
  );
  const own = 'Each controller has a folder of its own: ask folderOf for each write.';
  try {
    apply(pids(count), memory);
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    throw new Wrong({ expected: 'both limits to be set', observed: error.message, cause: own });
  }
  expectSame('pids.max', String(count), limitNow(), 'Write the value to the file in the folder.');
  expectSame(memoryFile, bytes, readControl(join(folder.memory, memoryFile)), own);
  expectSame(
    'processes in a cgroup that may have so many',
    count,
    processesIn(t, folder.pids, count + 2),
    'The limit is not the one that was given.',
  );

  const asked = t.word();
  for (const [what, missing] of [
    ['a controller that is missing', { controller: 'rdma', file: 'rdma.max', value: '1', asked }],
    ['a file that is missing', { controller: 'memory', file: `memory.${t.word()}`, value: '1', asked }],
  ] as const) {
    const said = refusal(() => apply(pids(count + 1), missing));
    expectThat(
      said !== '',
      `an error for ${what}`,
      'no error',
      'Whoever asks for a limit that nobody keeps must be told: throw.',
    );
    expectSame(
      `pids.max after ${what}`,
      String(count),
      limitNow(),
      'The limit before it was written. Look for every file before the first write: all limits or none.',
    );
    expectThat(said.includes(asked), `an error that names ${asked}`, said, 'Name the limit: `asked`.');
  }
  const said = refusal(() => apply(pids(-t.number(2, 99))));
  expectThat(
    said.includes('pids.limit'),
    'an error that names pids.limit, for a negative number of processes',
    said || 'no error',
    'The kernel refused the write (EINVAL): say so, with `asked`, and with its error as the cause.',
  );
  apply(pids(count + 2), pids(count + 1));
  expectSame(
    'pids.max after two writes',
    String(count + 1),
    limitNow(),
    'Write in the order that was given.',
  );
}

function refusal(action: () => void): string {
  try {
    action();
    return '';
  } catch (error) {
    if (!(error instanceof Error) || error.name === 'NotImplemented') throw error;
    return error.message;
  }
}

/** How many processes there can be in a cgroup, tried up to `most`. Those that were made stay until the cgroup is taken away. */
function processesIn(t: Trial, folder: string, most: number): number {
  const fill = (): number => {
    enter(folder);
    for (let count = 1; count < most; count++)
      try {
        fork(() => sleep(1_000_000));
      } catch (error) {
        if (isErrno(error, 'EAGAIN')) return count;
        throw error;
      }
    return most;
  };
  return inChild(t, fill).result;
}
