import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readFileCapabilities, setFileCapabilities, type FileCapabilities } from '../index.ts';

test('setcap(8) and getcap(8) understand the capabilities of a file as this chapter does', () => {
  const dir = mkdtempSync('/var/tmp/ch01-setcap-');
  const file = join(dir, 'cat');
  try {
    copyFileSync('/bin/cat', file);
    const ours: FileCapabilities = {
      permitted: ['CAP_NET_RAW', 'CAP_BPF'],
      inheritable: ['CAP_NET_RAW'],
      effective: true,
    };
    setFileCapabilities(file, ours);
    expect(execFileSync('getcap', [file], { encoding: 'utf8' })).toBe(`${file} cap_net_raw=eip cap_bpf+ep\n`);
    execFileSync('setcap', ['cap_chown,cap_checkpoint_restore=p', file]);
    expect(readFileCapabilities(file)).toEqual({
      permitted: ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'],
      inheritable: [],
      effective: false,
    });
  } finally {
    rmSync(dir, { recursive: true });
  }
});
