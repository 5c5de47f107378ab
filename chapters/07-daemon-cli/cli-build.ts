import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { dockerignore, treeEntries, writeTar, type TarInput } from '../04-overlayfs/index.ts';
import { CommandError, type CliCommand } from './cli-command.ts';
import { showProgress } from './cli-pull.ts';

interface BuildFlags {
  buildArg?: string[];
  file?: string;
  label?: string[];
  noCache?: boolean;
  pull?: boolean;
  quiet?: boolean;
  tag?: string[];
  target?: string;
}

export const build: CliCommand<BuildFlags> = {
  name: 'build',
  aliases: ['image build'],
  usage: '[OPTIONS] PATH | -',
  summary: 'Build an image from a Dockerfile',
  operands: [1, 1],
  options: [
    { flags: '--build-arg <list>', help: 'Set build-time variables', list: true },
    { flags: '-f, --file <string>', help: 'Name of the Dockerfile (default: PATH/Dockerfile)' },
    { flags: '--label <list>', help: 'Set metadata for an image', list: true },
    { flags: '--no-cache', help: 'Do not use cache when building the image' },
    { flags: '--pull', help: 'Always attempt to pull a newer version of the image' },
    { flags: '-q, --quiet', help: 'Suppress the build output and print image ID on success' },
    { flags: '-t, --tag <list>', help: 'Name and optionally a tag in the name:tag format', list: true },
    { flags: '--target <string>', help: 'Set the target build stage to build' },
  ],
  async run(
    api,
    [context],
    { buildArg = [], file = 'Dockerfile', label = [], noCache, pull, quiet, tag = [], target },
  ) {
    const body =
      context === '-'
        ? process.stdin
        : Readable.from(writeTar(contextEntries(context!, file)), { objectMode: false });
    const tags = tag.map((name) => `t=${encodeURIComponent(name)}`);
    const query = {
      dockerfile: file,
      buildargs: JSON.stringify(Object.fromEntries(buildArg.map((text) => pair(text, process.env)))),
      labels: JSON.stringify(Object.fromEntries(label.map((text) => pair(text, {})))),
      ...(noCache && { nocache: '1' }),
      ...(pull && { pull: '1' }),
      ...(quiet && { q: '1' }),
      ...(target && { target }),
    };
    const text = [...tags, new URLSearchParams(query).toString()].join('&');
    const answer = await api.request('POST', `/build?${text}`, {
      headers: { 'Content-Type': 'application/x-tar' },
      body,
    });
    await showProgress(answer, process.stdout);
  },
};

/** `NAME=VALUE`; a name alone takes its value from the environment. */
function pair(text: string, environment: NodeJS.ProcessEnv): [string, string | null] {
  const at = text.indexOf('=');
  return at === -1 ? [text, environment[text] ?? null] : [text.slice(0, at), text.slice(at + 1)];
}

/** The context as a tar, without what .dockerignore leaves out; the Dockerfile itself is sent in any case. @throws CommandError */
function* contextEntries(context: string, file: string): Generator<TarInput> {
  const root = resolve(context);
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new CommandError(`unable to prepare context: path ${JSON.stringify(context)} not found`);
  if (!statSync(join(root, file), { throwIfNoEntry: false })?.isFile())
    throw new CommandError(
      `unable to prepare context: unable to evaluate symlinks in Dockerfile path: ${join(root, file)}: no such file`,
    );
  const ignoreFile = join(root, '.dockerignore');
  const ignored = dockerignore(
    statSync(ignoreFile, { throwIfNoEntry: false }) ? readFileSync(ignoreFile, 'utf8') : '',
  );
  for (const entry of treeEntries(root, '')) {
    const path = entry.header.name.replace(/\/$/, '');
    // Files are root's in an image, whoever has them here.
    const header = { ...entry.header, uid: 0, gid: 0 };
    if (!ignored(path) || path === file || path === '.dockerignore') yield { ...entry, header };
  }
}
