import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoEngine, type DemoEngine } from '../demo-engine.ts';
import { startRegistry, type LocalRegistry } from '../../04-overlayfs/index.ts';

/** The stock docker client, our daemon, a real registry. */
let engine: DemoEngine;
let registry: LocalRegistry;
let root: string;
let work: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), '07i-peer-'));
  chmodSync(root, 0o755);
  work = mkdtempSync(join(tmpdir(), '07i-work-'));
  engine = await demoEngine(root);
  await engine.start();
  registry = await startRegistry(work, { basic: { username: 'me', password: 'secret' } });
  docker('load', '-i', engine.archive);
});
afterAll(async () => {
  await engine.stop();
  await registry.stop();
  rmSync(work, { recursive: true, force: true });
});

interface Outcome {
  status: number | null;
  stdout: string;
  stderr: string;
}
const run = (program: string, args: readonly string[], input: string | Buffer = ''): Outcome => {
  const { status, stdout, stderr } = spawnSync(program, args, {
    input,
    timeout: 110_000,
    maxBuffer: 256 << 20,
    encoding: 'latin1',
    env: {
      PATH: process.env['PATH'] ?? '',
      HOME: work,
      DOCKER_HOST: `unix://${engine.socket}`,
      MYDOCKER_HOST: `unix://${engine.socket}`,
      DOCKER_BUILDKIT: '0',
    },
  });
  return { status, stdout, stderr };
};
const tried = (...args: string[]): Outcome => run('docker', args);
/** The command must succeed. */
function docker(...args: string[]): string {
  const { status, stdout, stderr } = tried(...args);
  expect({ args, status, stderr: status === 0 ? '' : stderr + stdout }).toEqual({
    args,
    status: 0,
    stderr: '',
  });
  return stdout;
}
const ours = (...args: string[]): Outcome => run(join(engine.bin, 'mydocker'), args);
const name = (): string => `i${randomBytes(4).toString('hex')}`;

describe('registries', () => {
  test('login, push, rmi, pull, run: by docker', () => {
    const image = `${registry.host}/team/app:1`;
    docker('tag', 'busybox', image);
    expect(tried('push', image).stderr).toContain('no basic auth credentials');
    expect(tried('login', '-u', 'me', '-p', 'wrong', registry.host).stderr).toContain('unauthorized');
    expect(docker('login', '-u', 'me', '-p', 'secret', registry.host)).toContain('Login Succeeded');
    const pushed = docker('push', image);
    expect(pushed).toContain(': Pushed');
    const digest = /1: digest: (sha256:[0-9a-f]{64}) size: \d+/.exec(pushed)?.[1];
    expect(docker('push', image)).toContain('Layer already exists');
    docker('rmi', image);
    const pulled = docker('pull', image);
    expect(pulled).toContain(`1: Pulling from team/app`);
    expect(pulled).toContain(`Digest: ${digest}\nStatus: Downloaded newer image for ${image}`);
    expect(docker('pull', image)).toContain(`Status: Image is up to date for ${image}`);
    expect(docker('run', '--rm', image, 'echo', 'from afar')).toBe('from afar\n');
    docker('rmi', image);
    expect(docker('run', '--rm', `${registry.host}/team/app@${digest}`, 'echo', 'by digest')).toBe(
      'by digest\n',
    );
    expect(docker('images', '--digests', `${registry.host}/team/app`)).toContain(digest);
    expect(tried('pull', `${registry.host}/team/app:2`).stderr).toContain(
      `manifest for ${registry.host}/team/app:2 not found: manifest unknown`,
    );
    docker('logout', registry.host);
    expect(tried('pull', `${registry.host}/team/app:1`).status).toBe(1);
  });

  test('the same by mydocker, which keeps what docker reads', () => {
    const image = `${registry.host}/ours:1`;
    expect(ours('tag', 'busybox', image).status).toBe(0);
    const login = run(
      join(engine.bin, 'mydocker'),
      ['login', '-u', 'me', '--password-stdin', registry.host],
      'secret\n',
    );
    expect(login.stdout).toContain('Login Succeeded');
    expect(JSON.parse(readFileSync(join(work, '.docker', 'config.json'), 'utf8'))).toMatchObject({
      auths: { [registry.host]: { auth: Buffer.from('me:secret').toString('base64') } },
    });
    expect(ours('push', image).stdout).toContain('digest: sha256:');
    expect(docker('pull', image)).toContain('Image is up to date');
    expect(ours('rmi', image).status).toBe(0);
    expect(ours('pull', image).stdout).toContain('Downloaded newer image');
    expect(ours('logout', registry.host).stdout).toContain('Removing login credentials');
    expect(ours('login', '-u', 'me', '-p', 'wrong', registry.host)).toMatchObject({ status: 1 });
  });
});

describe('a container’s files', () => {
  test('diff, commit, run of what was committed', () => {
    const container = name();
    docker(
      'run',
      '--name',
      container,
      'busybox',
      'sh',
      '-c',
      'echo new > /new; rm /etc/group; mkdir /d; echo x >> /etc/passwd',
    );
    expect(docker('diff', container).trim().split('\n').sort()).toEqual([
      'A /d',
      'A /new',
      'C /etc',
      'C /etc/passwd',
      'D /etc/group',
    ]);
    expect(ours('diff', container).stdout.trim().split('\n').sort()).toEqual([
      'A /d',
      'A /new',
      'C /etc',
      'C /etc/passwd',
      'D /etc/group',
    ]);
    const image = `${name()}:x`;
    const id = docker(
      'commit',
      '-m',
      'a message',
      '-a',
      'An Author',
      '-c',
      'CMD ["cat","/new"]',
      '-c',
      'ENV A=1',
      container,
      image,
    ).trim();
    expect(docker('run', '--rm', image)).toBe('new\n');
    const [a, ...etc] = docker('run', '--rm', image, 'sh', '-c', 'echo $A; ls /etc').trim().split('\n');
    expect([a, etc.includes('passwd'), etc.includes('group')]).toEqual(['1', true, false]);
    const [inspected] = JSON.parse(docker('image', 'inspect', image)) as [Record<string, unknown>];
    expect(inspected).toMatchObject({
      Id: id,
      Author: 'An Author',
      Comment: 'a message',
      Config: { Cmd: ['cat', '/new'], Env: expect.arrayContaining(['A=1']) as string[] },
    });
    expect(ours('commit', '-c', 'LABEL k=v', container).stdout).toMatch(/^sha256:/);
    expect(tried('commit', '-c', 'RUN x', container).stderr).toContain('run is not a valid change command');
    expect(tried('commit', 'nobody').stderr).toContain('No such container: nobody');
    docker('rm', container);
  });

  test('cp in and out, of one that runs and one that does not', () => {
    const [source, back] = [join(work, 'tree'), join(work, 'back')];
    mkdirSync(join(source, 'sub'), { recursive: true });
    writeFileSync(join(source, 'a'), 'first');
    writeFileSync(join(source, 'sub', 'b'), Buffer.alloc(100_000, 'b'));
    const container = name();
    docker('create', '--name', container, 'busybox', 'sleep', '1000');
    for (const running of [false, true]) {
      if (running) docker('start', container);
      docker('cp', source, `${container}:/copied`);
      docker('cp', join(source, 'a'), `${container}:/etc`);
      expect(ours('cp', join(source, 'a'), `${container}:/tmp-a`).status).toBe(0);
      rmSync(back, { recursive: true, force: true });
      mkdirSync(back);
      docker('cp', `${container}:/copied/sub/b`, join(back, 'b'));
      docker('cp', `${container}:/etc/a`, back);
      expect(ours('cp', `${container}:/copied`, join(back, 'ours')).status).toBe(0);
      expect(readFileSync(join(back, 'b')).equals(readFileSync(join(source, 'sub', 'b')))).toBe(true);
      expect(readFileSync(join(back, 'a'), 'utf8')).toBe('first');
      expect(existsSync(join(back, 'ours', running ? 'tree/sub/b' : 'sub/b'))).toBe(true);
      expect(tried('cp', `${container}:/none`, back).stderr).toContain(
        'Could not find the file /none in container',
      );
    }
    expect(docker('exec', container, 'cat', '/copied/a', '/etc/a', '/tmp-a')).toBe('firstfirstfirst');
    docker('rm', '-f', container);
  });

  test('a link inside a container leads nowhere else', () => {
    const container = name();
    docker(
      'run',
      '--name',
      container,
      'busybox',
      'sh',
      '-c',
      `ln -s ${work} /out; ln -s /etc /in; ln -s ../../../../../etc/passwd /climb`,
    );
    writeFileSync(join(work, 'secret'), 'the host’s');
    expect(tried('cp', `${container}:/out/secret`, '-').status).not.toBe(0);
    expect(tried('cp', join(work, 'secret'), `${container}:/out/written`).status).not.toBe(0);
    expect(existsSync(join(work, 'written'))).toBe(false);
    docker('cp', join(work, 'secret'), `${container}:/in/inside`);
    // docker refuses to make such a link on the host.
    expect(tried('cp', `${container}:/climb`, join(work, 'climb')).stderr).toContain('invalid symlink');
    docker('rm', container);
  });

  test('export and import: the same files in one layer', () => {
    const container = name();
    docker('run', '--name', container, 'busybox', 'sh', '-c', 'echo kept > /kept; rm -r /etc/group');
    const [tar, oursTar, image] = [join(work, 'out.tar'), join(work, 'ours.tar'), name()];
    docker('export', '-o', tar, container);
    expect(ours('export', '-o', oursTar, container).status).toBe(0);
    expect(readFileSync(tar).equals(readFileSync(oursTar))).toBe(true);
    expect(run('tar', ['-tf', tar]).stdout).not.toContain('etc/group');
    const id = docker('import', '-c', 'CMD ["cat","/kept"]', '-m', 'said', tar, image).trim();
    expect(docker('run', '--rm', image)).toBe('kept\n');
    expect(JSON.parse(docker('image', 'inspect', image))[0]).toMatchObject({ Id: id, Comment: 'said' });
    expect(ours('import', tar, `${name()}:y`).stdout).toMatch(/^sha256:/);
    writeFileSync(join(work, 'no.tar'), 'no tar at all'.repeat(100));
    expect(tried('import', join(work, 'no.tar')).status).not.toBe(0);
    docker('rm', container);
  });

  test('save and load: what was removed comes back under its name', () => {
    const [image, tar] = [`${name()}:1`, join(work, 'saved.tar')];
    docker('tag', 'busybox', image);
    const id = docker('image', 'inspect', '-f', '{{.Id}}', image);
    docker('save', '-o', tar, image, 'busybox');
    docker('rmi', image);
    expect(docker('load', '-i', tar)).toContain(`Loaded image: ${image}`);
    expect(docker('image', 'inspect', '-f', '{{.Id}}', image)).toBe(id);
    expect(ours('save', '-o', `${tar}2`, image).status).toBe(0);
    expect(run('skopeo', ['inspect', `oci-archive:${tar}2`]).stdout).toContain('"Layers"');
    expect(tried('save', 'nosuch').stderr).toContain('No such image: nosuch:latest');
    writeFileSync(join(work, 'bad.tar'), readFileSync(tar).subarray(0, 100_000));
    expect(tried('load', '-i', join(work, 'bad.tar')).stderr).toContain('the archive cannot be read');
  });
});

describe('build', () => {
  const context = (files: Record<string, string>): string => {
    const dir = mkdtempSync(join(work, 'context-'));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(join(dir, path, '..'), { recursive: true });
      writeFileSync(join(dir, path), text);
    }
    return dir;
  };
  const inspect = (image: string): { Id: string; Config: Record<string, unknown> } =>
    (JSON.parse(docker('image', 'inspect', image)) as [{ Id: string; Config: Record<string, unknown> }])[0];

  test('a Dockerfile with everything, by docker’s classic builder', { timeout: 240_000 }, () => {
    const dir = context({
      Dockerfile: `
# a comment
ARG BASE=busybox
FROM \${BASE} AS made
ARG WHO=nobody
WORKDIR /made
COPY src/ .
RUN echo "for $WHO" > who && \\
    # between
    cat a.txt >> who
FROM busybox
LABEL one=1 two="2 2"
ENV GREETING=hello PLACE="the world"
ENV BOTH=$GREETING-\${PLACE:+there}
USER 1000:1000
WORKDIR /app
WORKDIR sub
COPY --from=made --chown=5:6 /made/who ./
COPY *.md /docs/
ADD files.tar.gz /unpacked/
EXPOSE 80 53/udp
VOLUME ["/data"]
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --retries=2 CMD true
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["cat who; id -u; ls /docs /unpacked; echo $BOTH"]
`,
      '.dockerignore': 'secret*\n!secret-but.md\n',
      'src/a.txt': 'a\n',
      'one.md': '1',
      'secret.md': 's',
      'secret-but.md': 'b',
    });
    run('tar', ['-czf', join(dir, 'files.tar.gz'), '-C', dir, 'src']);
    const [image, again] = [name(), name()];
    const first = docker('build', '-t', image, '--build-arg', 'WHO=you', '--label', 'k=v', dir);
    expect(first).toContain('Successfully tagged');
    expect(first).not.toContain('Using cache');
    const output = docker('run', '--rm', image);
    expect(output).toBe('for you\na\n1000\n/docs:\none.md\nsecret-but.md\n\n/unpacked:\nsrc\nhello-there\n');
    expect(inspect(image).Config).toMatchObject({
      Env: expect.arrayContaining(['GREETING=hello', 'PLACE=the world', 'BOTH=hello-there']) as string[],
      Labels: { one: '1', two: '2 2', k: 'v' },
      User: '1000:1000',
      WorkingDir: '/app/sub',
      ExposedPorts: { '80/tcp': {}, '53/udp': {} },
      Volumes: { '/data': {} },
      StopSignal: 'SIGUSR1',
      Shell: ['/bin/sh', '-ec'],
      Healthcheck: { Test: ['CMD-SHELL', 'true'], Interval: 5e9, Retries: 2 },
    });
    expect(docker('run', '--rm', image, 'stat -c %u:%g who')).toBe('5:6\n');
    // The same again costs nothing, and is the same image; another file, another argument is another.
    const second = docker('build', '-t', again, '--build-arg', 'WHO=you', '--label', 'k=v', dir);
    expect(second).not.toContain('Running in');
    expect(inspect(again).Id).toBe(inspect(image).Id);
    writeFileSync(join(dir, 'src', 'a.txt'), 'b\n');
    expect(docker('build', '--build-arg', 'WHO=you', dir)).toContain('Running in');
    expect(docker('build', '--no-cache', '--target', 'made', '-q', dir)).toMatch(/^sha256:[0-9a-f]{64}\n$/);
    expect(ours('build', '-t', `${again}:2`, dir).stdout).toContain(`Successfully tagged ${again}:2`);
    expect(docker('history', image)).toContain('COPY');
    expect(docker('images', '-q').split('\n').length).toBeLessThan(
      docker('images', '-aq').split('\n').length,
    );
    docker('builder', 'prune', '-f');
    expect(docker('run', '--rm', image)).toBe(output);
  });

  test.each([
    [
      'a command that fails',
      'FROM busybox\nRUN exit 3',
      "The command '/bin/sh -c exit 3' returned a non-zero code: 3",
    ],
    ['a file that is not there', 'FROM busybox\nCOPY none /', 'COPY failed: file not found in build context'],
    [
      'an instruction that is none',
      'FROM busybox\nFORM x',
      'dockerfile parse error on line 2: unknown instruction: FORM',
    ],
    ['nothing to begin with', 'RUN x', 'no build stage in current context'],
    ['what only BuildKit knows', 'FROM busybox\nRUN --mount=type=cache,target=/x true', 'needs BuildKit'],
    [
      'a stage that is not there, and no image',
      'FROM busybox\nCOPY --from=127.0.0.1:1/nosuch /a /b',
      'invalid from flag value 127.0.0.1:1/nosuch: ',
    ],
    [
      'an address that COPY does not fetch',
      'FROM busybox\nCOPY http://127.0.0.1:1/x /',
      "COPY failed: source can't be a URL for COPY",
    ],
    ['nobody at an address', 'FROM busybox\nADD http://127.0.0.1:1/x /', 'ADD failed: '],
    [
      'several files and no slash',
      'FROM busybox\nCOPY Dockerfile Docker* /etc',
      'When using COPY with more than one source file, the destination must be a directory and end with a /',
    ],
  ])('%s: an error that says so, and nothing left', (_what, text, message) => {
    const before = docker('ps', '-aq');
    const { status, stderr, stdout } = tried('build', context({ Dockerfile: text }));
    expect(status).not.toBe(0);
    expect(stderr + stdout).toContain(message);
    expect(docker('ps', '-aq')).toBe(before);
  });

  test('pulls what it begins with as the client that asks for it, and no longer when that has logged out', () => {
    const base = `${registry.host}/team/base:1`;
    docker('tag', 'busybox', base);
    docker('login', '-u', 'me', '-p', 'secret', registry.host);
    docker('push', base);
    docker('rmi', base);
    const dir = context({ Dockerfile: `FROM ${base}\nLABEL a=b` });
    expect(docker('build', dir)).toContain('Successfully built');
    docker('rmi', base);
    docker('logout', registry.host);
    expect(tried('build', dir).stderr).toContain('pull access denied for team/base');
  });

  test('a proxy reaches its commands without an ARG, and is nothing that they depend on', () => {
    const dir = context({ Dockerfile: 'FROM busybox\nRUN echo "through $HTTP_PROXY"' });
    const through = (proxy: string): string => docker('build', '--build-arg', `HTTP_PROXY=${proxy}`, dir);
    const first = through('http://one:1');
    expect(first).toContain('through http://one:1');
    expect(first).not.toContain('not consumed');
    expect(through('http://two:2')).toContain('Using cache');
  });

  test('history and image prune print by mydocker what they print by docker', { timeout: 240_000 }, () => {
    const image = name();
    const long = `echo ${'x'.repeat(60)}`;
    // How old a thing is changes between two looks, and with it how wide its column is.
    const ageless = (one: Outcome): Outcome => ({
      ...one,
      stdout: one.stdout.replaceAll(
        /(CREATED(?= )(?! AT| BY)|(Less than a second|\d+ seconds?|About a minute) ago|N\/A) +/g,
        'AGE ',
      ),
    });
    const dir = context({ Dockerfile: `FROM busybox\nRUN ${long} >/long\nCMD ["cat",\t"/long"]` });
    docker('build', '-t', image, dir);
    for (const flags of [
      [],
      ['--no-trunc'],
      ['-q'],
      ['-q', '--no-trunc'],
      ['-H=false'],
      ['--human=false', '--no-trunc'],
      ['--format', 'json'],
      ['--format', '{{.ID}} {{.CreatedAt}} {{.Size}}'],
      ['--format', 'table {{.CreatedBy}}\\t{{.Comment}}'],
      ['-q', '--format', '{{.CreatedSince}}'],
    ])
      expect({ flags, ...ageless(ours('history', ...flags, image)) }).toEqual({
        flags,
        ...ageless(tried('history', ...flags, image)),
      });
    expect(ours('image', 'history', 'nosuch')).toMatchObject(tried('image', 'history', 'nosuch'));

    // Both remove the same: whenever the image is made anew, the one before has no name any more.
    docker('image', 'prune', '-f');
    const prune = (by: typeof tried, flags: string[]): object => {
      docker('build', '--no-cache', '--label', 'made=anew', '-t', image, dir);
      const outcome = {
        ...by('image', 'prune', ...flags),
        left: docker('images', '-q', '-f', 'dangling=true'),
      };
      docker('image', 'prune', '-f');
      return JSON.parse(JSON.stringify(outcome).replaceAll(/[0-9a-f]{12,64}/g, 'ID')) as object;
    };
    prune(tried, ['-f']);
    for (const flags of [['-f'], ['-f', '--filter', 'label!=made=anew'], []])
      expect({ flags, ...prune(ours, flags) }).toEqual({ flags, ...prune(tried, flags) });
    expect(run(join(engine.bin, 'mydocker'), ['image', 'prune'], 'y\n').stdout).toContain(
      '[y/N] Total reclaimed',
    );
    expect(ours('image', 'prune', 'now').stderr).toContain("'mydocker image prune' accepts no arguments");
  });

  test('a link in the context leads nowhere outside', () => {
    const dir = context({ Dockerfile: 'FROM busybox\nCOPY out/passwd /stolen' });
    run('ln', ['-s', '/etc', join(dir, 'out')]);
    expect(tried('build', dir).status).not.toBe(0);
  });
});
