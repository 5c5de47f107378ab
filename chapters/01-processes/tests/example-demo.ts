// A demo for demo-kit.test.ts: its first step makes a file, its second does what EXAMPLE says.
import { rmSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { demo } from '../index.ts';

await demo('00 example', async (d) => {
  const file = process.env['EXAMPLE_FILE']!;
  writeFileSync(file, 'made by the demo');
  d.cleanup(`remove the file`, () => rmSync(file));
  await d.step('first', {
    why: 'to see a step',
    run: (s) => {
      s.call('getpid()', 42);
      s.evidence('uts namespace', { host: 'a', container: 'b' });
      s.claim('one is one', true);
      s.cleanup('first step cleaned', () => undefined);
    },
  });
  await d.step('second', {
    why: 'to see what goes wrong',
    run: async (s) => {
      const example = process.env['EXAMPLE'];
      if (example === 'false') s.claim('one is two', false);
      if (example === 'throw') throw new Error('thrown in a step');
      while (example === 'chatter') {
        s.note('still here');
        await setTimeout(20);
      }
      if (example === 'wait') {
        process.stdout.write('waiting\n');
        await setTimeout(60_000);
      }
    },
  });
});
