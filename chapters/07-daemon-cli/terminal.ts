import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import type { ReadStream } from 'node:tty';

export interface WindowSize {
  rows: number;
  cols: number;
}

/** The size of the terminal behind a stream; undefined where it is none, or has no size yet (0 by 0). */
export function windowSize(stream: {
  isTTY?: boolean;
  rows?: number;
  columns?: number;
}): WindowSize | undefined {
  if (!stream.isTTY || !stream.rows || !stream.columns) return undefined;
  return { rows: stream.rows, cols: stream.columns };
}

//#region rawMode
/**
 * Puts the terminal in raw mode: every key goes to the container as it is, and it is the container's terminal that echoes it, edits lines,
 * and makes a signal of Ctrl-C. Returns the way back, which can be taken twice; it is also taken when this process ends, however it
 * ends (but for SIGKILL): a terminal left raw shows nothing of what is typed.
 * Source: termios(3), "Raw mode".
 */
export function rawMode(terminal: ReadStream & { fd?: number }): () => void {
  const wasRaw = terminal.isRaw;
  // A signal that nobody else minds ends this process, but by way of 'exit'.
  const onSignal = (signal: NodeJS.Signals): void => {
    if (process.listenerCount(signal) === 1) process.exit(128 + constants.signals[signal]);
  };
  const restore = (): void => {
    process.off('exit', restore);
    for (const signal of DEADLY) process.off(signal, onSignal);
    if (!terminal.destroyed) terminal.setRawMode(wasRaw);
  };
  process.on('exit', restore);
  for (const signal of DEADLY) process.on(signal, onSignal);
  terminal.setRawMode(true);
  // Node's raw mode still makes CR LF of each LF that is written. The container's terminal has done so already, and an editor
  // in it means LF alone. There is no call for this in Node; setRawMode(false) gives everything back.
  spawnSync('stty', ['-opost'], { stdio: [terminal.fd, 'ignore', 'ignore'] });
  return restore;
}
//#endregion

/** Signals that would end a program at once, without a chance to give the terminal back. */
const DEADLY = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const;

/** The keys that leave a container without stopping it. */
export const DEFAULT_DETACH_KEYS = 'ctrl-p,ctrl-q';

/**
 * The bytes of a key sequence: keys with commas between, each one a character, or `ctrl-` and a letter or one of `@ [ \ ] ^ _`.
 * An empty sequence means that no keys detach.
 * @throws RangeError for any other key
 */
export function parseDetachKeys(keys: string): number[] {
  if (keys === '') return [];
  return keys.split(',').map((key) => {
    const control = /^ctrl-([a-z@[\\\]^_])$/i.exec(key);
    // The control characters are the 32 below the blank: the letter's code without its upper bits.
    if (control) return control[1]!.toUpperCase().charCodeAt(0) & 0x1f;
    if (/^[\x21-\x7e]$/.test(key)) return key.charCodeAt(0);
    throw new RangeError(
      `invalid detach keys ${JSON.stringify(keys)}: ${JSON.stringify(key)} is neither a character nor ctrl- with a letter or one of @ [ \\ ] ^ _`,
    );
  });
}

/** What to send on of some typed bytes, and whether the detach keys were among them. */
export type DetachFilter = (typed: Buffer) => { send: Buffer; detached: boolean };

/**
 * Watches typed bytes for the detach keys. A key that could be the start of the sequence is held back until the next
 * shows whether it is; if not, both are sent. What follows the sequence is dropped.
 */
export function detachFilter(keys: readonly number[]): DetachFilter {
  //#gap 07.4 detachFilter
  let matched = 0;
  return (typed) => {
    const send: number[] = [];
    for (const byte of typed) {
      if (keys.length && byte === keys[matched]) {
        matched += 1;
        if (matched === keys.length) return { send: Buffer.from(send), detached: true };
        continue;
      }
      send.push(...keys.slice(0, matched));
      matched = 0;
      if (keys.length && byte === keys[0]) matched = 1;
      else send.push(byte);
    }
    return { send: Buffer.from(send), detached: false };
  };
  //#end
}
