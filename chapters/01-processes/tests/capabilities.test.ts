import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  CAPABILITIES,
  clearAmbient,
  DOCKER_CAPABILITIES,
  execve,
  fork,
  inBounding,
  knownCapabilities,
  limitBounding,
  lowerAmbient,
  maskOf,
  namesOf,
  parseCapability,
  raiseAmbient,
  readCapabilities,
  setCapabilities,
  waitpid,
  type Capability,
} from '../index.ts';

/** Runs `change` in a child, whose status then is 0 if `holds` of its sets afterwards. */
function inChild(change: () => void, holds: () => boolean): void {
  const pid = fork(() => {
    change();
    return holds() ? 0 : 9;
  });
  expect(waitpid(pid)).toEqual({ kind: 'exited', code: 0 });
}

describe('capability names', () => {
  test('are 41, each with its own bit, up to the last that this kernel knows', () => {
    const numbers = Object.values(CAPABILITIES).map((c) => c.number);
    expect(numbers).toEqual(Array.from({ length: 41 }, (_, i) => i));
    const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'));
    expect(knownCapabilities()).toHaveLength(Math.min(last, 40) + 1);
  });

  test('become masks and come back, beyond 32 bits too', () => {
    const some: Capability[] = ['CAP_CHOWN', 'CAP_SETFCAP', 'CAP_MAC_OVERRIDE', 'CAP_CHECKPOINT_RESTORE'];
    expect(maskOf(some)).toBe(0x10180000001n);
    expect(namesOf(0x10180000001n)).toEqual(some);
    // The mask that every container of stock Docker shows in /proc/1/status.
    expect(maskOf(DOCKER_CAPABILITIES)).toBe(0xa80425fbn);
  });

  test('are taken as people write them, and refused by name', () => {
    expect(parseCapability('net_admin')).toBe('CAP_NET_ADMIN');
    expect(parseCapability('CAP_sys_time')).toBe('CAP_SYS_TIME');
    expect(() => parseCapability('CAP_FLY')).toThrow('unknown capability "CAP_FLY"');
    expect(() => parseCapability('constructor')).toThrow('unknown capability');
  });
});

describe('capability sets', () => {
  test('are read as the kernel shows them', () => {
    const line = /CapEff:\s+(\w+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1];
    expect(maskOf(readCapabilities()!.effective)).toBe(BigInt(`0x${line}`));
  });

  test('what is given up is refused at the next call, and can not be taken back', () => {
    inChild(
      () =>
        setCapabilities({ effective: ['CAP_KILL'], permitted: ['CAP_KILL', 'CAP_CHOWN'], inheritable: [] }),
      () => {
        const sets = readCapabilities()!;
        try {
          setCapabilities({ permitted: ['CAP_KILL', 'CAP_CHOWN', 'CAP_SYS_ADMIN'] });
          return false;
        } catch (error) {
          return (
            String(error).includes('capset: EPERM') &&
            sets.effective.join() === 'CAP_KILL' &&
            sets.permitted.join() === 'CAP_CHOWN,CAP_KILL'
          );
        }
      },
    );
  });

  test('a set that is not given stays', () => {
    const before = readCapabilities()!;
    inChild(
      () => setCapabilities({ inheritable: ['CAP_CHOWN'] }),
      () => {
        const after = readCapabilities()!;
        return after.inheritable.join() === 'CAP_CHOWN' && after.effective.length === before.effective.length;
      },
    );
  });

  test('the bounding set is a ceiling also for root after exec', () => {
    expect(inBounding('CAP_SYS_CHROOT')).toBe(true);
    const pid = fork(() => {
      limitBounding(['CAP_CHOWN', 'CAP_KILL']);
      execve(
        '/bin/sh',
        [
          'sh',
          '-c',
          'test "$(grep -c "^Cap\\(Prm\\|Eff\\|Bnd\\):.*0000000000000021$" /proc/self/status)" = 3',
        ],
        ['PATH=/bin:/usr/bin'],
      );
    });
    expect(waitpid(pid)).toEqual({ kind: 'exited', code: 0 });
  });

  test('ambient capabilities must be inheritable first, and go away one by one or all at once', () => {
    inChild(
      () => {
        try {
          raiseAmbient('CAP_CHOWN');
          throw new Error('it must be refused');
        } catch (error) {
          if (!String(error).includes('EPERM')) throw error;
        }
        setCapabilities({ inheritable: ['CAP_CHOWN', 'CAP_KILL', 'CAP_FOWNER'] });
        raiseAmbient('CAP_CHOWN');
        raiseAmbient('CAP_KILL');
        raiseAmbient('CAP_FOWNER');
        lowerAmbient('CAP_FOWNER');
      },
      () => {
        const raised = readCapabilities()!.ambient.join();
        clearAmbient();
        return raised === 'CAP_CHOWN,CAP_KILL' && readCapabilities()!.ambient.length === 0;
      },
    );
  });
});
