import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { makeExecutable } from '../../chapters/01-processes/index.ts';
import { startRegistry } from '../../chapters/04-overlayfs/index.ts';
import { makeTree, pushLoad, share } from './images-load.ts';
import { isThere, peakOf, startDocker, timed, type Docker, type Run } from './images-run.ts';
import { costOf } from './kernel-measure.ts';
import { readOptions } from './bench-options.ts';

export const summary =
  'pull, unpack, commit and diff: time and memory, beside skopeo with umoci, and dockerd (--rounds N, --percent N, --json)';

const USAGE = `npm run bench -- images [--json] [--rounds N] [--percent N]
  --json      the same as data
  --rounds N  how often each is measured (3)
  --percent N how much of everything, files and layers (100)`;
const COUNTS = { rounds: { ordinary: 3, limit: 100 }, percent: { ordinary: 100, limit: 100 } };

/** What is compared: a step, and whose program does it. */
interface Row {
  what: string;
  who: string;
  /** milliseconds: the median */
  time?: number;
  /** megabytes: the highest */
  peak?: number;
  /** Why it was not measured. */
  why?: string;
}

/** Measures, and prints a table or JSON. @returns 0, 1 when the goal is missed (memory), 2 for what cannot be done */
export async function run(args: string[]): Promise<number> {
  const options = readOptions('images', USAGE, COUNTS, args);
  if (typeof options === 'string') {
    (options === USAGE ? console.log : console.error)(options);
    return options === USAGE ? 0 : 2;
  }
  const needed = ['docker-registry'].filter((program) => !isThere(program));
  if (process.getuid?.() !== 0 || needed.length > 0) {
    console.error(
      process.getuid?.() !== 0 ? 'bench images: not root' : `bench images: ${needed.join()} is not installed`,
    );
    return 2;
  }
  const dir = mkdtempSync(join(tmpdir(), 'bench-images-'));
  try {
    const rows = await measureAll(dir, options);
    const machine = `Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}; load ${loadavg()[0]!.toFixed(1)}`;
    if (options.json) console.log(JSON.stringify({ machine, rows }, null, 2));
    else console.log(`${machine}\n\n${table(rows)}`);
    return 0;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Makes what is needed, measures all in turn, and stops what was started. */
async function measureAll(
  dir: string,
  { rounds, percent }: { rounds: number; percent: number },
): Promise<Row[]> {
  const program = join(dir, 'ours');
  await makeExecutable({ source: join(import.meta.dirname, 'images-ours.ts'), out: program });
  mkdirSync(join(dir, 'registry'));
  const registry = await startRegistry(join(dir, 'registry'));
  let docker: Docker | undefined;
  const hasDocker = ['dockerd', 'containerd', 'docker'].every(isThere);
  try {
    const name = `${registry.host}/bench:1`;
    const load = await pushLoad(dir, name, percent);
    const megabytes = Math.round(load.bytes / 1e6);
    rmSync(join(dir, 'load'), { recursive: true });
    const [few, lots] = [share(5000, percent), share(100_000, percent)];
    const written = await makeTree(dir, 'written', few, 8 << 10);
    const many = await makeTree(dir, 'many', lots, 100);
    const contestants = [
      ours(program, dir, { name, written: written.tree, many: many.tree }),
      isThere('skopeo') && isThere('umoci') ? skopeo(dir, name, written.tar) : absent('skopeo, umoci'),
      hasDocker ? dockerd(() => docker!, name, { written: written.tar, many: many.tar }) : absent('dockerd'),
    ];
    const whats: Record<Step, string> = {
      pull: `pull of ${megabytes} MB in 3 layers`,
      unpack: `unpack of them, ${counted(load.files)} files`,
      both: 'pull and unpack',
      commit: `commit of ${counted(few)} new files of 8 KB`,
      diff: `diff of ${counted(lots)} new files`,
    };
    const runs = new Map<string, Run[]>();
    for (let round = 0; round < rounds; round++) {
      // One that has nothing yet, and never had: see `ours`.
      if (hasDocker) docker = await startDocker(join(dir, `docker-${round}`));
      for (const { who, steps } of contestants)
        for (const step of STEPS) {
          const one = await steps[step]?.(round);
          if (one) runs.set(`${step} ${who}`, [...(runs.get(`${step} ${who}`) ?? []), one]);
        }
      await docker?.stop();
    }
    return STEPS.flatMap((step) =>
      contestants.map(({ who, why }): Row => {
        const these = runs.get(`${step} ${who}`);
        if (!these) return { what: whats[step], who, why: why ?? 'does not do it by itself' };
        const peak = Math.max(...these.map((one) => one.peak ?? 0));
        return { what: whats[step], who, time: costOf(these.map(({ time }) => time)).median, peak };
      }),
    );
  } finally {
    await docker?.stop();
    await registry.stop();
  }
}

const counted = (count: number): string => count.toLocaleString('en');

const STEPS = ['pull', 'unpack', 'both', 'commit', 'diff'] as const;
type Step = (typeof STEPS)[number];

interface Contestant {
  who: string;
  why?: string;
  steps: Partial<Record<Step, (round: number) => Promise<Run>>>;
}

const absent = (who: string): Contestant => ({ who, why: 'not installed', steps: {} });

function ours(
  program: string,
  dir: string,
  { name, written, many }: { name: string; written: string; many: string },
): Contestant {
  // A new place each round: ext4 looks twice at what was deleted in the last minute, which costs more than what is measured.
  let store = '';
  const call = async (verb: string, ...paths: string[]): Promise<Run> => {
    const run = await timed(program, [verb, store, name, ...paths]);
    return { ...run, peak: Number(run.output) / 1024 };
  };
  let [pulled, unpacked]: (Run | undefined)[] = [];
  return {
    who: 'chapter 04',
    steps: {
      pull: async (round) => {
        store = join(dir, `ours-${round}`);
        return (pulled = await call('pull'));
      },
      unpack: async () => (unpacked = await call('unpack')),
      both: async () => both(pulled!, unpacked!),
      commit: () => call('commit', written),
      diff: () => call('diff', many),
    },
  };
}

const both = (one: Run, other: Run): Run => ({
  time: one.time + other.time,
  peak: Math.max(one.peak ?? 0, other.peak ?? 0),
  output: '',
});

function skopeo(dir: string, name: string, written: string): Contestant {
  let [layout, bundle] = ['', ''];
  let [pulled, unpacked]: (Run | undefined)[] = [];
  return {
    who: 'skopeo, umoci',
    steps: {
      pull: async (round) => {
        [layout, bundle] = [join(dir, `layout-${round}`), join(dir, `bundle-${round}`)];
        const tmp = ['--tmpdir', dir];
        return (pulled = await timed('skopeo', [
          ...tmp,
          'copy',
          '--src-tls-verify=false',
          `docker://${name}`,
          `oci:${layout}:1`,
        ]));
      },
      unpack: async () => (unpacked = await timed('umoci', ['unpack', '--image', `${layout}:1`, bundle])),
      both: async () => both(pulled!, unpacked!),
      commit: async () => {
        execFileSync('tar', ['-xf', written, '-C', join(bundle, 'rootfs')]);
        return timed('umoci', ['repack', '--image', `${layout}:2`, bundle]);
      },
    },
  };
}

function dockerd(
  daemon: () => Docker,
  name: string,
  { written, many }: { written: string; many: string },
): Contestant {
  const docker: Docker['docker'] = (...args) => daemon().docker(...args);
  const peak = async (run: Promise<Run>): Promise<Run> => ({
    ...(await run),
    peak: Math.max(...daemon().pids.map(peakOf)),
  });
  const container = async (from: string): Promise<string> => {
    const id = (await docker(['create', name, 'none'])).output.trim();
    await docker(['cp', '-', `${id}:/`], from);
    return id;
  };
  return {
    who: 'dockerd',
    steps: {
      both: () => peak(docker(['pull', '-q', name])),
      commit: async () => {
        const id = await container(written);
        return peak(docker(['commit', '--pause=false', id, 'committed:1']));
      },
      diff: async () => {
        const id = await container(many);
        return peak(docker(['diff', id]));
      },
    },
  };
}

function table(rows: readonly Row[]): string {
  const line = (...columns: string[]): string =>
    columns
      .map((text, i) => (i === 2 || i === 3 ? text.padStart(10) : text.padEnd(i === 0 ? 36 : 16)))
      .join('');
  return [
    line('', '', 'ms', 'peak MB'),
    ...rows.map(({ what, who, time, peak, why }) =>
      time === undefined ? line(what, who, why!) : line(what, who, time.toFixed(0), peak!.toFixed(0)),
    ),
  ].join('\n');
}
