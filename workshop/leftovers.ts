import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ifAlive,
  isAlive,
  kill,
  listPids,
  readCmdline,
  readMountinfo,
  SIGNALS,
} from '../chapters/01-processes/index.ts';
import { MNT, removeMasquerade, runTool, tryTool, umount } from '../chapters/02-namespaces/index.ts';
import { WORDS } from './judge-process.ts';
import { ROOT } from './learner.ts';

/** What the temporary folder of a check is called; then the checker's process id follows, and a word by chance. */
export const CHECK_FOLDER = 'byod-check';

/** By which something in the kernel is known to be ours. */
export type Ours = (name: string) => boolean;

/** Those that a check has made: their names hold a word that it has drawn. */
export function withWords(words: readonly string[]): Ours {
  const long = words.filter((word) => word.length >= 8);
  return (name) => long.some((word) => name.includes(word));
}

/**
 * Takes away what is ours and was left in the kernel: mounts, cgroups with the processes in them, links, packet filter tables, named network
 * namespaces. Returns what it took away, a line each.
 */
export async function takeAway(ours: Ours): Promise<string[]> {
  const taken: string[] = [];
  for (const { mountPoint } of readMountinfo()?.toReversed() ?? [])
    if (ours(mountPoint)) {
      umount(mountPoint, MNT.DETACH);
      taken.push(`mount ${mountPoint}`);
    }
  for (const folder of cgroupFolders(ours)) {
    await removeCgroup(folder);
    taken.push(`cgroup ${folder}`);
  }
  for (const link of readdirSync('/sys/class/net').filter(ours)) {
    // The other end of a pair goes with the first.
    if (tryTool('ip', ['link', 'delete', link]).ok) taken.push(`link ${link}`);
  }
  for (const { family, name } of tables().filter(({ name }) => ours(name))) {
    if (family === 'ip') removeMasquerade({ table: name });
    else runTool('nft', ['delete', 'table', family, name]);
    taken.push(`packet filter table ${family} ${name}`);
  }
  for (const name of existsSync('/run/netns') ? readdirSync('/run/netns').filter(ours) : []) {
    runTool('ip', ['netns', 'delete', name]);
    taken.push(`network namespace ${name}`);
  }
  return taken;
}

/** The outermost cgroups that are ours, in every tree. */
function cgroupFolders(ours: Ours): string[] {
  // Those of others come and go while they are listed.
  const below = (folder: string): string[] =>
    (ifAlive(() => readdirSync(folder, { withFileTypes: true })) ?? [])
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => (ours(name) ? [join(folder, name)] : below(join(folder, name))));
  const trees = (readMountinfo() ?? []).filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  return [...new Set(trees.map(({ mountPoint }) => mountPoint))].flatMap((tree) => below(tree));
}

/** Ends every process in a cgroup and below it, and removes it. @throws Error EBUSY when someone in it does not end within 2 s */
async function removeCgroup(folder: string): Promise<void> {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) await removeCgroup(join(folder, entry.name));
  for (let tries = 100; ; tries--) {
    try {
      for (const [file, thawed] of [
        ['freezer.state', 'THAWED'],
        ['cgroup.freeze', '0'],
      ] as const)
        if (existsSync(join(folder, file))) writeFileSync(join(folder, file), thawed);
      for (const pid of readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n'))
        if (pid) end(Number(pid));
      return rmdirSync(folder);
    } catch (error) {
      if (!existsSync(folder)) return; // who made it has taken it away meanwhile
      if (tries === 0) throw error;
    }
    await sleep(20);
  }
}

function end(pid: number): void {
  try {
    kill(pid, SIGNALS['SIGKILL']!);
  } catch {
    // it has ended by itself
  }
}

const tables = (): { family: string; name: string }[] => {
  const { ok, stdout } = tryTool('nft', ['-j', 'list', 'tables']);
  if (!ok) return [];
  const { nftables } = JSON.parse(stdout) as { nftables: { table?: { family: string; name: string } }[] };
  return nftables.flatMap(({ table }) => table ?? []);
};

/** Takes away what checks have left whose checker was killed: their folders bear its process id and hold the words that they drew. */
export async function takeAwayAfterDeadChecks(): Promise<string[]> {
  const taken: string[] = [];
  const places = [tmpdir(), join(ROOT, 'node_modules')];
  for (const folder of places.flatMap((place) => readdirSync(place).map((name) => join(place, name)))) {
    const name = basename(folder);
    const checker = new RegExp(`^\\.?${CHECK_FOLDER}-(\\d+)-`).exec(name)?.[1];
    if (checker === undefined || isAlive(Number(checker))) continue;
    taken.push(...(await takeAway(withWords([...wordsIn(folder), name]))));
    rmSync(folder, { recursive: true, force: true });
    taken.push(`folder ${folder}`);
  }
  return taken;
}

/** The words that a check has drawn. */
export function wordsIn(folder: string): string[] {
  const path = join(folder, WORDS);
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
}

/** What the demos name things: theirs are known by it once no demo runs. */
const DEMO_NAMES: Ours = (name) =>
  /^(ch0\d-demo-[0-9a-f]{6}|d2[0-9a-z]{5}|(box|pinned)-[0-9a-z]{5}|md[0-9a-f]{8})$/.test(name);
const DEMO_FOLDERS = /^(ch0\d(-demo)?|o4-demo|demo-0\d)-\w{6}$/;
const RUNNING = /(^|\/)(demo(-\w+)?\.ts|vitest(\.mjs)?)$/;

/** Takes away what demos have left that were killed: processes, mounts, cgroups, links, folders. Nothing while a demo or a test runs. */
export async function takeAwayAfterDeadDemos(): Promise<string[]> {
  const commands = listPids().map((pid) => ({ pid, words: readCmdline(pid) ?? [] }));
  if (commands.some(({ words }) => words.some((word) => RUNNING.test(word)))) return [];
  const folders = [tmpdir(), '/var/tmp'].flatMap((place) =>
    readdirSync(place)
      .filter((name) => DEMO_FOLDERS.test(name))
      .map((name) => join(place, name)),
  );
  const below = (text: string): boolean => folders.some((folder) => `${text}/`.includes(`${folder}/`));
  const taken: string[] = [];
  for (const { pid, words } of commands)
    if (words.some(below)) {
      end(pid);
      taken.push(`process ${pid}: ${words.join(' ').slice(0, 80)}`);
    }
  taken.push(...(await takeAway((name) => below(name) || DEMO_NAMES(name))));
  for (const folder of folders) {
    rmSync(folder, { recursive: true, force: true });
    taken.push(`folder ${folder}`);
  }
  return taken;
}
