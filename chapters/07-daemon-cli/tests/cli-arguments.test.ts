import { expect, test } from 'vitest';
import { rewriteArguments } from '../cli-arguments.ts';
import { COMMANDS } from '../cli-commands.ts';

const GLOBALS = [
  { flags: '-D, --debug', help: '' },
  { flags: '-H, --host <string>', help: '' },
];
const rewrite = (line: string): string => rewriteArguments(line.split(' '), GLOBALS, COMMANDS).join(' ');

test("what follows the image is the container's, also where it looks like flags", () => {
  expect(rewrite('run -it busybox ls --rm=false -la -x')).toBe('run -i -t busybox ls --rm=false -la -x');
  expect(rewrite('exec -it c ps -ef')).toBe('exec -i -t c ps -ef');
  expect(rewrite('top c -o pid')).toBe('top c -o pid');
});

test('a flag that is true or false may say so', () => {
  expect(rewrite('run --rm=false -d=true x')).toBe('run --detach x');
  expect(rewrite('run -it=false x')).toBe('run -i x');
  expect(rewrite('history -H=false x')).toBe('history --no-human x');
  expect(rewrite('run --rm=true x')).toBe('run --rm x');
  expect(rewrite('run --sig-proxy=false x')).toBe('run --no-sig-proxy x');
  expect(() => rewrite('run --rm=maybe x')).toThrow(
    'invalid argument "maybe" for "--rm" flag: give true or false',
  );
});

test('a short flag takes its value in each of the three ways', () => {
  for (const line of ['run -m 64m x', 'run -m64m x', 'run -m=64m x'])
    expect(rewrite(line)).toBe('run -m64m x');
  expect(rewrite('run -itm 64m x')).toBe('run -i -t -m64m x');
});

test('a value may begin with a dash', () => {
  expect(rewrite('run --memory-swap -1 x')).toBe('run --memory-swap=-1 x');
});

test('flags may stand behind operands where nothing is passed through', () => {
  expect(rewrite('rm web -f')).toBe('rm web -f');
  expect(rewrite('-H unix:///x logs web --tail 3')).toBe(
    '-H unix:///x logs web --tail=3'.replace('-H unix', '-Hunix'),
  );
});

test('the long names lead to the same commands', () => {
  expect(rewrite('container ls -a')).toBe('ps -a');
  expect(rewrite('image rm x')).toBe('rmi x');
  expect(rewrite('system info')).toBe('info');
  expect(rewriteArguments(['image', 'prune', '-af'], GLOBALS, COMMANDS)).toEqual(['image prune', '-a', '-f']);
});

test('an unknown flag is refused with status 125, and the one that was meant is named', () => {
  expect(() => rewrite('run --memroy 5 x')).toThrow('unknown flag: --memroy (did you mean --memory?)');
  expect(() => rewrite('run -t=x busybox')).toThrow('for "-t, --tty" flag: give true or false');
  expect(() => rewrite('run -x busybox')).toThrow("unknown shorthand flag: 'x' in -x");
  expect(() => rewrite('run --name')).toThrow('flag needs an argument: --name');
  expect(() => rewrite('run --bogus x')).toThrow(
    expect.objectContaining({ status: 125, helpOf: 'run' }) as Error,
  );
});
