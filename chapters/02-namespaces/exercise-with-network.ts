import { readdirSync } from 'node:fs';
import { expectSame, expectThat, inChild, type Exercise, type Trial } from '../01-processes/index.ts';
import { strangerIn } from './exercise-support.ts';
import { namespaceId, namespacePath } from './namespaces.ts';
import { withNetworkNamespace } from './netns.ts';

export const withNetwork: Exercise = {
  gap: '02.4',
  task: 'Run a function in another network namespace, and come back.',
  hints: [
    'setns moves this thread. To come back there must be something left of where it came from.',
    'A descriptor of /proc/self/ns/net, opened before, is the way home. It must be taken also when the function throws.',
    'home = openSync(own); there = openSync(path); setns(there, CLONE.NEWNET); close it; try { return fn() } finally { setns(home, CLONE.NEWNET) }; close home.',
  ],
  check: checkWithNetwork,
  wrong: [
    {
      mistake: 'does not come back',
      code: `const there = openSync(path, 'r');
setns(there, CLONE.NEWNET);
closeSync(there);
return fn();`,
      diagnosis: 'did not come back',
    },
    {
      mistake: 'does not come back when the function throws',
      code: `const home = openSync(namespacePath('self', 'net'), 'r');
const there = openSync(path, 'r');
setns(there, CLONE.NEWNET);
const result = fn();
setns(home, CLONE.NEWNET);
closeSync(there);
closeSync(home);
return result;`,
      diagnosis: 'finally',
    },
    {
      mistake: 'keeps the descriptors open',
      code: `const home = openSync(namespacePath('self', 'net'), 'r');
setns(openSync(path, 'r'), CLONE.NEWNET);
try {
  return fn();
} finally {
  setns(home, CLONE.NEWNET);
}`,
      diagnosis: 'keeps the namespace alive',
    },
  ],
};

async function checkWithNetwork(t: Trial): Promise<void> {
  const stranger = await strangerIn(t, '--net');
  const path = namespacePath(stranger, 'net');
  const home = namespaceId('self', 'net');
  const open = (): number => readdirSync('/proc/self/fd').length;
  const before = open();
  const { result } = inChild(t, () => {
    const there = withNetworkNamespace(path, () => namespaceId('self', 'net'));
    const after = namespaceId('self', 'net');
    let thrown = '';
    try {
      if (after === home)
        withNetworkNamespace(path, () => {
          throw new Error('thrown inside');
        });
    } catch (error) {
      thrown = error instanceof Error ? error.message : '';
    }
    return { there, after, thrown, afterThrow: namespaceId('self', 'net'), open: open() };
  });
  expectSame(
    'the namespace inside the function',
    namespaceId(stranger, 'net'),
    result.there,
    'The function runs after setns into the namespace of the path.',
  );
  expectSame(
    'the namespace afterwards',
    home,
    result.after,
    'The thread did not come back: keep a descriptor of its own namespace, and setns to it.',
  );
  expectSame(
    'what the function threw',
    'thrown inside',
    result.thrown,
    'What the function throws must reach the caller.',
  );
  expectSame(
    'the namespace after the function threw',
    home,
    result.afterThrow,
    'When the function throws, the way home must be taken too: finally.',
  );
  expectThat(
    result.open <= before + 4 && !leaks(path),
    'every descriptor closed',
    'descriptors left open',
    'An open descriptor keeps the namespace alive: close both.',
  );

  function leaks(target: string): boolean {
    const count = (): number => readdirSync('/proc/self/fd').length;
    const least = count();
    for (let i = 0; i < 5; i++) withNetworkNamespace(target, () => undefined);
    return count() > least;
  }
}
