import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

/**
 * Tests run on the kernel. Each file has a process of its own, started `--single-threaded` so that it may fork(2)
 * (chapters/01-processes/fork.ts), and one file at a time, because what they judge is the machine's state.
 * `*.peer.test.ts` need programs that nobody here wrote (docker, runc, containerd): `.ci/run` installs those. `*.vm.test.ts` are for a machine
 * that is there for the tests alone, with systemd as its first process.
 */
const peers = process.env['TEST_PEERS'] === '1';
const systemd = process.env['TEST_VM'] === '1' && existsSync('/run/systemd/system');

export default defineConfig({
  test: {
    include: peers
      ? ['**/*.peer.test.ts']
      : ['chapters/**/*.test.ts', 'final/**/*.test.ts', 'workshop/**/*.test.ts', 'vagrant/**/*.test.ts'],
    exclude: [
      'node_modules/**',
      'my/**',
      'dist/**',
      ...(peers ? [] : ['**/*.peer.test.ts']),
      ...(systemd ? [] : ['**/*.vm.test.ts']),
    ],
    pool: 'forks',
    execArgv: ['--single-threaded'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    globalSetup: join(import.meta.dirname, 'workshop/stuck-tests.ts'),
    allowOnly: false,
    passWithNoTests: false,
  },
});
