import { chmodSync, closeSync, copyFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './demo-kit.ts';
import { eventually, folderOf, output, sleeps, start } from './demo-support.ts';
import {
  afterExec,
  CAPABILITIES,
  DOCKER_CAPABILITIES,
  dup2,
  limitBounding,
  namesOf,
  pipe,
  raiseAmbient,
  readCapabilities,
  readFileCapabilities,
  readStatus,
  SECBIT,
  setCapabilities,
  setFileCapabilities,
  setNoNewPrivs,
  setSecurebits,
  type Capability,
} from './index.ts';

/** Steps about rights: capabilities taken away, and what execve makes of those that are left. */

export async function capabilities(s: Step): Promise<void> {
  const chown =
    'touch "$1"; chown 1:1 "$1" && echo chown works; renice -n -5 $$ >/dev/null 2>&1 && echo priority raised || echo priority refused';
  const file = join(folderOf(s), 'file');
  const { read, write } = pipe();
  const pid = await start(s, ['/bin/sh', '-c', `${chown}; exec sleep 1000`, 'sh', file], () => {
    dup2(write, 1);
    limitBounding(DOCKER_CAPABILITIES);
    setCapabilities({ effective: DOCKER_CAPABILITIES, permitted: DOCKER_CAPABILITIES, inheritable: [] });
    setNoNewPrivs();
  });
  closeSync(write);
  await eventually(() => sleeps(pid));
  const chunk = Buffer.alloc(200);
  const said = chunk.toString('utf8', 0, readSync(read, chunk)).trim().split('\n');
  closeSync(read);
  s.call('prctl(PR_CAPBSET_DROP, …), capset(…), prctl(PR_SET_NO_NEW_PRIVS)', 0);
  const [ours, theirs] = [readCapabilities()!.effective, readCapabilities(pid)!.effective];
  const lost = (['CAP_SYS_ADMIN', 'CAP_SYS_NICE', 'CAP_NET_ADMIN', 'CAP_SYS_MODULE'] as const).filter(
    (name) => !theirs.includes(name),
  );
  s.evidence('effective', {
    'this program': `${ours.length} capabilities`,
    'like a container': `${theirs.length}: ${theirs.slice(0, 4).join(' ')} …`,
  });
  s.evidence('gone', Object.fromEntries(lost.map((name) => [name, CAPABILITIES[name].allows])));
  s.evidence('still user 0', { tries: said.join(', ') });
  s.claim(
    'it is root, and may give files away',
    readStatus(pid)!.uid.effective === 0 && said.includes('chown works'),
  );
  s.claim('and may not raise its own priority', said.includes('priority refused'));
  s.claim('no program that it starts can get more', readStatus(pid)!.noNewPrivs);
}

export async function execution(s: Step): Promise<void> {
  const program = join(folderOf(s, '/var/tmp'), 'cat'); // /tmp may be mounted nosuid, where files give nothing
  copyFileSync('/bin/cat', program);
  chmodSync(program, 0o755);
  /** What `cat` has when somebody without root's privilege executes it, who has CAP_KILL ambient and NET_RAW in no set but one. */
  const run = async (prepare: () => void = () => {}): Promise<Record<string, Capability[]>> => {
    const text = await output([program, '/proc/self/status'], () => {
      setSecurebits(SECBIT.NOROOT); // user 0 without its magic: what any other user is
      setCapabilities({ inheritable: ['CAP_KILL'] });
      raiseAmbient('CAP_KILL');
      prepare();
      setCapabilities({ effective: [], permitted: ['CAP_KILL', 'CAP_CHOWN'] });
    });
    const lines = [...text.matchAll(/^Cap(\w+):\s+(\w+)$/gm)];
    return Object.fromEntries(lines.map(([, set, mask]) => [set!, namesOf(BigInt(`0x${mask}`))]));
  };
  const show = (sets: Record<string, Capability[]>): string =>
    ['Prm', 'Eff', 'Amb'].map((set) => `${set} ${sets[set]?.join(' ') || '–'}`).join(', ');
  const plain = await run();
  setFileCapabilities(program, { permitted: ['CAP_NET_RAW'], inheritable: [], effective: true });
  s.call(`setxattr("${program}", "security.capability", …)`, 0);
  const [given, refused, held] = [
    await run(),
    await run(() => limitBounding(['CAP_KILL', 'CAP_CHOWN', 'CAP_SETPCAP'])),
    await run(setNoNewPrivs),
  ];
  s.evidence('permitted before: CAP_KILL (ambient too) and CAP_CHOWN. After execve of', {
    'a plain file': show(plain),
    'a file with cap_net_raw=ep': show(given),
    'the same, below a bounding set without it': refused['Prm'] ? show(refused) : 'refused with EPERM',
    'the same, with no_new_privs': show(held),
  });
  s.claim('a plain file leaves only what is ambient', plain['Prm']!.join() === 'CAP_KILL');
  s.claim(
    'a file’s own are given to whoever runs it, and nothing else is kept',
    given['Eff']!.join() === 'CAP_NET_RAW',
  );
  s.claim('the bounding set is stronger than the file', refused['Prm'] === undefined);
  s.claim('with no_new_privs a file gives nothing', held['Prm']!.length === 0);
  const have = readCapabilities()!.bounding;
  const before = {
    effective: [],
    permitted: ['CAP_KILL', 'CAP_CHOWN'],
    inheritable: ['CAP_KILL'],
    bounding: have,
    ambient: ['CAP_KILL'],
  } as const;
  const said = afterExec(
    {
      ...before,
      effective: [],
      permitted: [...before.permitted],
      inheritable: [...before.inheritable],
      ambient: [...before.ambient],
    },
    { file: readFileCapabilities(program), privileged: true },
  );
  s.claim('the formula of capabilities(7) had said so', said?.permitted.join() === given['Prm']!.join());
}
