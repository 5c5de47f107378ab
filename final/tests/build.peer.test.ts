import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { docker, startBesideDocker, type BesideDocker } from './beside-docker.ts';

/** The same Dockerfile by dockerd's classic builder and by mydockerd, driven by the same client. */
let both: BesideDocker;
let server: Server;
const address = (): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

beforeAll(async () => {
  both = await startBesideDocker();
  // Served by this process, while the client is waited for: it must not be waited for in this thread.
  server = createServer((request, response) => {
    if (request.url !== '/file.tar') return void response.writeHead(404).end('nothing here');
    response.writeHead(200, { 'Last-Modified': 'Wed, 21 Oct 2015 07:28:00 GMT' }).end('fetched');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server?.close();
  await both?.stop();
});

interface Image {
  Parent: string;
  Config: Record<string, unknown>;
  ContainerConfig: Record<string, unknown>;
  Author?: string;
  RootFS: { Layers: string[] };
}

function context(files: Record<string, string>): string {
  const root = mkdtempSync(join(both.dir, 'context-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

/** What an image says of itself, without what is different each time: ids, dates, digests of files. */
async function built(host: string, files: Record<string, string>, ...args: string[]): Promise<object> {
  const outcome = await docker(host, [
    'build',
    '--network',
    'none',
    '-t',
    'compared',
    ...args,
    context(files),
  ]);
  expect(outcome).toMatchObject({ status: 0 });
  const [image] = JSON.parse((await docker(host, ['image', 'inspect', 'compared'])).stdout) as [Image];
  const history = (await docker(host, ['history', '--no-trunc', '--format', '{{.CreatedBy}}', 'compared']))
    .stdout;
  // The image of the step before, whose id is another each time.
  expect(image.Parent).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect([image.Config['Image'], image.ContainerConfig['Image']]).toEqual([image.Parent, image.Parent]);
  return {
    config: { ...image.Config, Image: '' },
    // Docker makes a container for every step, also for one that runs nothing.
    containerConfig: { ...image.ContainerConfig, Image: '', Hostname: '' },
    author: image.Author,
    layers: image.RootFS.Layers.length,
    history: history.replace(/[0-9a-f]{64} in/g, 'DIGEST in').split('\n'),
  };
}

test(
  'an image has the same configuration, the same history and as many layers',
  { timeout: 300_000 },
  async () => {
    const files = {
      Dockerfile: `
ARG BASE=busybox
FROM $BASE AS made
ARG WHO=nobody
WORKDIR /made
COPY src/ .
RUN echo "for $WHO" > who
FROM busybox
ARG WHO
ARG OTHER=1
MAINTAINER somebody
LABEL one=1 two="2 2"
ENV GREETING=hello PLACE="the world"
ENV OLD the rest
USER 1000:1000
WORKDIR /app
WORKDIR sub
COPY --from=made --chown=5:6 /made/who ./
COPY *.md /docs/
COPY src /src
ADD one.md ${address()}/file.tar /unpacked/
ADD ${address()}/file.tar /alone
EXPOSE 80 53/udp
VOLUME ["/data"]
VOLUME /b /a
STOPSIGNAL SIGUSR1
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --retries=2 CMD true
ONBUILD RUN echo
ENTRYPOINT ["/bin/sh", "-c"]
RUN true
CMD echo hi
`,
      'src/a.txt': 'a\n',
      'one.md': '1',
    };
    const args = ['--build-arg', 'WHO=you', '--build-arg', 'HTTP_PROXY=http://127.0.0.1:1', '--label', 'k=v'];
    const [theirs, ours] = [
      await built(both.hosts[0], files, ...args),
      await built(both.hosts[1], files, ...args),
    ];
    expect(ours).toEqual(theirs);
    // What was fetched has the server's time, and root's eyes alone.
    const command = 'stat -c "%a %u %Y" /alone /unpacked/file.tar';
    const shown = await docker(both.hosts[1], ['run', '--rm', '-u', '0', 'compared', command]);
    expect(shown.stdout).toBe('600 0 1445412480\n'.repeat(2));
  },
);

test.each([
  ['FROM busybox\nADD SERVER/none /', 'failed to GET SERVER/none with status 404 Not Found: nothing here'],
  ['FROM busybox\nCOPY SERVER/file.tar /', "source can't be a URL for COPY"],
  ['FROM busybox\nADD SERVER/ /x/', 'SERVER/'],
  ['FROM busybox\nCOPY a b /x', 'the destination must be a directory and end with a /'],
  ['FROM busybox\nCOPY *.none /x', 'no source files were specified'],
  ['FROM busybox\nEXPOSE x', 'Invalid containerPort: x'],
  ['FROM busybox\nVOLUME [""]', 'VOLUME specified can not be an empty string'],
  ['FROM busybox\nHEALTHCHECK what', 'Unknown type "WHAT" in HEALTHCHECK (try CMD)'],
  ['FROM busybox\nENV a', 'ENV must have two arguments'],
  ['FROM busybox\nONBUILD FROM x', "FROM isn't allowed as an ONBUILD trigger"],
  ['FROM busybox\nFORM x', 'unknown instruction: FORM'],
  ['FROM busybox\nSHELL x', 'SHELL requires the arguments to be in JSON form'],
  ['FROM busybox\nRUN exit 3', "The command '/bin/sh -c exit 3' returned a non-zero code: 3"],
])('%j fails with the same words', { timeout: 200_000 }, async (text, words) => {
  const place = (line: string): string => line.replaceAll('SERVER', address());
  const root = context({ Dockerfile: place(text), a: 'a', b: 'b' });
  for (const host of both.hosts) {
    const { status, stderr, stdout } = await docker(host, ['build', '--network', 'none', root]);
    expect(status, host).not.toBe(0);
    expect(stdout + stderr, host).toContain(place(words));
  }
});
