// A program for executable.test.ts: forks, and says how it was started.
import { fork, waitpid } from '../index.ts';

const status = waitpid(fork(() => 4));
console.log(JSON.stringify({ status, args: process.argv.slice(2), cwd: process.cwd() }));
