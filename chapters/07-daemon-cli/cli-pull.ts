import { createInterface } from 'node:readline';
import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import type { ApiClient } from './api-client.ts';
import { CommandError, messageOf, print, type CliCommand } from './cli-command.ts';
import { authHeaders } from './cli-registry-auth.ts';
import { canonicalName, parseReference } from './cli-reference.ts';

interface PullFlags {
  platform?: string;
  quiet?: boolean;
}

export const pull: CliCommand<PullFlags> = {
  name: 'pull',
  aliases: ['image pull'],
  usage: '[OPTIONS] NAME[:TAG|@DIGEST]',
  summary: 'Download an image from a registry',
  operands: [1, 1],
  options: [
    { flags: '--platform <string>', help: 'Set platform if server is multi-platform capable' },
    { flags: '-q, --quiet', help: 'Suppress verbose output' },
  ],
  async run(api, [image], flags) {
    if (!parseName(image!).tag) print('Using default tag: latest');
    await pullImage(api, image!, { ...flags, to: process.stdout });
    print(canonicalName(image!));
  },
};

function parseName(image: string): ReturnType<typeof parseReference> {
  try {
    return parseReference(image);
  } catch (error) {
    throw new CommandError(messageOf(error), 1, { cause: error });
  }
}

/**
 * Has the daemon fetch an image, and says how it goes.
 * @throws DaemonError, or an Error that came in the middle of the progress
 */
export async function pullImage(
  api: ApiClient,
  image: string,
  { platform, quiet, to }: { platform?: string | undefined; quiet?: boolean | undefined; to: Writable },
): Promise<void> {
  const { repository, tag, digest } = parseReference(image);
  const answer = await api.request('POST', '/images/create', {
    query: { fromImage: repository, tag: digest ?? tag ?? 'latest', platform },
    headers: await authHeaders(image),
  });
  await showProgress(answer, quiet ? undefined : to);
}

interface Progress {
  status?: string;
  stream?: string;
  id?: string;
  progress?: string;
  error?: string;
  errorDetail?: { message?: string };
}

/**
 * Prints the JSON lines in which a daemon tells of long work. Bars that grow are left out: a line is printed when what it says is new.
 * @throws Error with the daemon's words when a line says that it failed
 */
export async function showProgress(answer: IncomingMessage, to: Writable | undefined): Promise<void> {
  const said = new Map<string, string>();
  for await (const line of createInterface({ input: answer, crlfDelay: Infinity })) {
    if (!line.trim()) continue;
    const progress = JSON.parse(line) as Progress;
    const failure = progress.errorDetail?.message ?? progress.error;
    if (failure) throw new Error(failure);
    const { id = '', status, stream } = progress;
    if (stream !== undefined) to?.write(stream);
    if (status === undefined || (id && said.get(id) === status)) continue;
    said.set(id, status);
    to?.write(`${id && `${id}: `}${status}\n`);
  }
}
