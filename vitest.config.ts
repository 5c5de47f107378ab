import { defineConfig } from 'vitest/config';

/**
 * Tests run on the kernel. Each file has a process of its own, started `--single-threaded` so that it may fork(2)
 * (chapters/01-processes/fork.ts), and one file at a time, because what they judge is the machine's state.
 * `*.peer.test.ts` need programs that nobody here wrote (docker, runc, containerd): `.ci/run` installs those.
 */
const peers = process.env['TEST_PEERS'] === '1';

export default defineConfig({
  test: {
    include: peers
      ? ['**/*.peer.test.ts']
      : ['chapters/**/*.test.ts', 'final/**/*.test.ts', 'workshop/**/*.test.ts'],
    exclude: ['node_modules/**', 'my/**', 'dist/**', ...(peers ? [] : ['**/*.peer.test.ts'])],
    pool: 'forks',
    execArgv: ['--single-threaded'],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    allowOnly: false,
    passWithNoTests: false,
  },
});
