import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { stubbed, withGap, type Gap } from '../../gaps.ts';
import { exerciseOf, referenceGaps, ROOT, selectGap } from '../../learner.ts';

// Makes the submissions of a class of thirty: `tsx workshop/tests/class/make-class.ts [DIR]`. Beside those who learn there are some
// who try what they should not. Their names say what they have handed in.

/** What a learner's gap holds: nothing (the stub), or code. */
type Answer = (gap: Gap) => string | undefined | Promise<string | undefined>;

const whole: Answer = (gap) => gap.body;
/** The code in gap 01.1, and the reference's in the others. */
const hostile =
  (code: string): Answer =>
  (gap) =>
    gap.id === '01.1' ? code : gap.body;
const wrong =
  (number: number): Answer =>
  async (gap) =>
    (await exerciseOf(gap)).wrong[number]?.code ?? gap.body;
const until =
  (last: string): Answer =>
  (gap) =>
    gap.id.localeCompare(last) <= 0 ? gap.body : undefined;

const SYNC = `const fs = process.getBuiltinModule('fs'); const cp = process.getBuiltinModule('child_process');`;
const FALSE_VERDICT = JSON.stringify({ verdict: 'passed' });

/** Who is in the class. */
export const CLASS: Record<string, Answer> = {
  'whole-ada': whole,
  'whole-bela': whole,
  stub: () => undefined,
  'stub-too': () => undefined,
  'until-01.2': until('01.2'),
  'until-02.5': until('02.5'),
  'until-04.3': until('04.3'),
  'first-chapter-missing': (gap) => (gap.chapter.startsWith('01') ? undefined : gap.body),
  'every-second': (gap) => (Number(gap.id.slice(3)) % 2 ? gap.body : undefined),
  'wrong-1': wrong(0),
  'wrong-2': wrong(1),
  'wrong-3': wrong(2),
  'broken-syntax': hostile('return {;'),
  'leaves-its-function': hostile('return {} as never;\n}\nprocess.exit(0);\nfunction more() {'),
  throws: hostile('throw new TypeError("mine");'),
  'endless-loop': hostile('for (;;);'),
  'fork-bomb': hostile(
    // With rests: a loop that never pauses fills the memory with its own notes of each child, and may be ended for that first.
    `${SYNC} const rest = new Int32Array(new SharedArrayBuffer(4));
    for (;;) {
      try { cp.spawn('sh', ['-c', 'b() { b | b & }; b; sleep 100'], { detached: true }); } catch {}
      Atomics.wait(rest, 0, 0, 10);
    }`,
  ),
  'memory-hog': hostile('const all: Buffer[] = []; for (;;) all.push(Buffer.alloc(16 << 20, 1));'),
  'fills-the-disk': hostile(
    `${SYNC} for (let i = 0; ; i++) fs.writeFileSync('/root/big-' + i, Buffer.alloc(16 << 20, 1));`,
  ),
  'edits-its-tests': hostile('return { comm: "mine" } as never;'),
  'prints-the-text': hostile(`console.log('${FALSE_VERDICT}'); console.log('passed'); return {} as never;`),
  'forges-a-verdict': hostile(`${SYNC} fs.writeSync(3, '${FALSE_VERDICT}\\n'); process.exit(0);`),
  'lies-about-json': hostile('JSON.stringify = () => "same"; return {} as never;'),
  'exits-0': hostile('process.exit(0);'),
  'writes-outside': hostile(
    `${SYNC} for (const path of ['/etc/byod-grade-was-here', '/root/byod-grade-was-here', '/tmp/byod-grade-was-here', '/var/tmp/byod-grade-was-here'])
  fs.writeFileSync(path, 'x');
return {} as never;`,
  ),
  'leaves-things': hostile(
    `${SYNC} cp.spawn('sleep', ['98765'], { detached: true, stdio: 'ignore' }).unref();
fs.mkdirSync('/mnt/byod-grade-left'); cp.execFileSync('mount', ['-t', 'tmpfs', 'byod-grade-left', '/mnt/byod-grade-left']);
cp.execFileSync('ip', ['link', 'add', 'byodgradeleft', 'type', 'bridge']);
fs.mkdirSync('/sys/fs/cgroup/memory/byod-grade-left', { recursive: true });
return {} as never;`,
  ),
  'kills-everybody': hostile(
    `${SYNC} cp.spawnSync('sh', ['-c', 'kill -9 -1']); process.kill(process.ppid || 1, 9); return {} as never;`,
  ),
  'no-markers': whole,
  'file-missing': whole,
  'link-instead': whole,
};

/** Makes a folder for each of `names` (all, unless told) in `into`, with the files that have gaps. Returns their paths. */
export async function makeClass(into: string, names = Object.keys(CLASS)): Promise<string[]> {
  const gaps = referenceGaps();
  const first = selectGap('01.1').file;
  for (const name of names) {
    const tree = join(into, name);
    for (const file of new Set(gaps.map((gap) => gap.file))) {
      let text = stubbed(file, readFileSync(join(ROOT, file), 'utf8'));
      for (const gap of gaps.filter((each) => each.file === file)) {
        const answer = await CLASS[name]!(gap);
        if (answer !== undefined) text = withGap(file, text, gap.id, answer);
      }
      if (name === 'no-markers' && file === first) text = text.replace(/^.*\/\/#(gap|end).*\n/gm, '');
      mkdirSync(dirname(join(tree, file)), { recursive: true });
      writeFileSync(join(tree, file), text);
    }
    if (name === 'file-missing') rmSync(join(tree, first));
    if (name === 'link-instead') {
      rmSync(join(tree, first));
      symlinkSync(join(ROOT, first), join(tree, first));
    }
    if (name === 'edits-its-tests') {
      // Its own exercises let everything pass; they do not count.
      const exercises = gaps.map(({ id }) => ({ gap: id }));
      writeFileSync(
        join(tree, 'chapters/01-processes/exercises.ts'),
        `export const exercises = ${JSON.stringify(exercises)}.map((e) => ({ ...e, check() {} }));\n`,
      );
      cpSync(join(ROOT, 'package.json'), join(tree, 'package.json'));
    }
  }
  return names.map((name) => join(into, name));
}

if (process.argv[1] === import.meta.filename) {
  const into = resolve(process.argv[2] ?? join(ROOT, 'dist', 'class'));
  const made = await makeClass(into);
  console.log(`${made.length} submissions in ${into}`);
}
