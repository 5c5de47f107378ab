import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import type { Step } from './demo-kit.ts';
import { eventually, start } from './demo-support.ts';
import {
  closeQuietly,
  dup2,
  getpid,
  isAlive,
  kill,
  listPids,
  openPty,
  pipe,
  readStat,
  readStatus,
  setControllingTerminal,
  setsid,
  setWindowSize,
  SIGNALS,
  signalsOf,
  terminalName,
  waitpid,
  WUNTRACED,
} from './index.ts';

/** Steps about signals: to an ordinary process, to PID 1, and from a terminal. */

export async function signals(s: Step): Promise<void> {
  const { read, write } = pipe();
  const ends = [read, write];
  const close = (): void => ends.splice(0).forEach(closeQuietly);
  s.cleanup('close the pipe that it reads from', close);
  const script = 'trap "" HUP; trap "exit 9" TERM; trap : USR1; while :; do read line; done';
  const pid = await start(s, ['/bin/sh', '-c', script], () => dup2(read, 0));
  await eventually(() => signalsOf(readStatus(pid)!.signals.caught).includes('SIGUSR1'));
  const { caught, ignored } = readStatus(pid)!.signals;
  s.evidence(`what process ${pid} has arranged`, {
    caught: signalsOf(caught).join(' '),
    ignored: signalsOf(ignored).join(' '),
  });
  s.claim(
    'the masks in /proc say what trap has set',
    signalsOf(ignored).includes('SIGHUP') && signalsOf(caught).includes('SIGTERM'),
  );
  for (const name of ['SIGHUP', 'SIGUSR1', 'SIGSTOP'] as const)
    s.call(`kill(${pid}, ${name})`, (kill(pid, SIGNALS[name]!), 0));
  const stopped = waitpid(pid, WUNTRACED);
  s.evidence('after an ignored, a caught and a stopping one', {
    waitpid: JSON.stringify(stopped),
    state: readStat(pid)!.state,
  });
  s.claim('only SIGSTOP could not be refused', stopped.kind === 'stopped' && readStat(pid)!.state === 'T');
  s.call(`kill(${pid}, SIGTERM)`, (kill(pid, SIGNALS['SIGTERM']!), 0));
  s.evidence('sent to a stopped process', {
    waiting: signalsOf(BigInt(`0x${readStatus(pid)!.lines['ShdPnd']}`)).join(' '),
  });
  s.call(`kill(${pid}, SIGCONT)`, (kill(pid, SIGNALS['SIGCONT']!), 0));
  // A shell looks for signals between its commands. Stopped just before read(2), it would now wait there, and not look.
  close();
  const end = waitpid(pid);
  s.claim(
    'it waited until the process went on, which then ended as it chose',
    end.kind === 'exited' && end.code === 9,
  );
}

export async function pidOne(s: Step): Promise<void> {
  const script =
    'kill -TERM $$; kill -KILL $$; trap "echo heard USR1" USR1; echo "PID $$ is still here"; sleep 1000 & while :; do sleep 0.05; done';
  const child = spawn('unshare', ['--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  s.cleanup(`end process ${child.pid}`, async () => {
    child.kill('SIGKILL');
    await closed;
  });
  s.call(
    'unshare --pid --fork sh -c "kill -TERM $$; kill -KILL $$; …"',
    'a pid namespace; the next chapter makes one itself',
  );
  let said = '';
  child.stdout!.on('data', (data) => (said += data));
  await eventually(() => said.includes('still here'));
  const init = listPids().find((pid) => readStat(pid)?.ppid === child.pid)!;
  const members = (): number[] => listPids().filter((pid) => readStat(pid)?.ppid === init);
  s.evidence('PID 1 of it', {
    inside: said.trim(),
    'seen from here': `process ${init}, NSpid ${readStatus(init)!.nsPid.join(' ')}`,
  });
  s.claim('its own SIGTERM and SIGKILL did nothing to it', said.includes('PID 1 is still here'));
  s.call(`kill(${init}, SIGTERM)`, (kill(init, SIGNALS['SIGTERM']!), 0));
  s.call(`kill(${init}, SIGUSR1)`, (kill(init, SIGNALS['SIGUSR1']!), 0));
  await eventually(() => said.includes('heard USR1'));
  s.evidence('from outside', {
    'SIGTERM, not asked for': isAlive(init) ? 'ignored' : 'dead',
    'SIGUSR1, asked for': said.split('\n')[1],
  });
  s.claim('it hears what it has asked for, and nothing else', isAlive(init) && said.includes('heard USR1'));
  const before = members();
  s.call(`kill(${init}, SIGKILL)`, (kill(init, SIGNALS['SIGKILL']!), 0));
  await closed;
  s.evidence('and SIGKILL', {
    'PID 1': 'ended',
    [`its ${before.length} children`]: before.some(isAlive) ? 'alive' : 'ended with it',
  });
  s.claim(
    'SIGKILL from outside ends it, and with it everyone in the namespace',
    !isAlive(init) && !before.some(isAlive),
  );
}

export async function terminal(s: Step): Promise<void> {
  const { master, slavePath } = openPty();
  s.cleanup(`close ${slavePath}`, () => closeSync(master));
  setWindowSize(master, { rows: 33, cols: 111 });
  s.call('open("/dev/ptmx"), ioctl(TIOCSPTLCK, 0), ioctl(TIOCGPTN)', slavePath);
  // It ends after a minute or so, and so does waiting for what it says: of a terminal without a slave one reads EIO. noflsh: else Ctrl-C throws
  // away what was printed and not yet read, an answer that came fast too.
  const script =
    'stty noflsh; trap "echo caught" INT; tty; stty size; echo ready; for i in $(seq 1200); do sleep 0.05; done';
  const pid = await start(s, ['/bin/sh', '-c', script], () => {
    setsid();
    const slave = openSync(slavePath, constants.O_RDWR | constants.O_NOCTTY);
    setControllingTerminal(slave);
    for (const fd of [0, 1, 2]) dup2(slave, fd);
  });
  let text = '';
  const chunk = Buffer.alloc(4096);
  while (!text.includes('ready')) text += chunk.toString('utf8', 0, readSync(master, chunk));
  s.call('write(master, "\\x03")', writeSync(master, '\x03'));
  while (!text.includes('caught')) text += chunk.toString('utf8', 0, readSync(master, chunk));
  const [tty, size] = text.split('\r\n');
  s.evidence('inside', { tty, 'stty size': size, 'after Ctrl-C': 'caught' });
  s.claim('it has a terminal of the size that we chose', tty === slavePath && size === '33 111');
  const { session, pgrp, tpgid, ttyNr } = readStat(pid)!;
  s.evidence(`process ${pid}`, {
    session: `${session}, ours is ${readStat(getpid())!.session}`,
    'foreground group': `${tpgid}, its own is ${pgrp}`,
    'controlling terminal': terminalName(ttyNr),
  });
  s.claim('it leads a session, and its group is in the foreground', session === pid && pgrp === tpgid);
  s.claim('one byte became SIGINT for its session', text.includes('caught') && readStat(pid) !== undefined);
}
