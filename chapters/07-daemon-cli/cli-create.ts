import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { DaemonError, type ApiClient } from './api-client.ts';
import { CommandError, messageOf, print, STATUS_REFUSED, warn, type CliCommand } from './cli-command.ts';
import { CONTAINER_OPTIONS, type ContainerFlags } from './cli-container-options.ts';
import { createBody, type CreateBody, type Surroundings } from './cli-create-body.ts';
import { pullImage } from './cli-pull.ts';
import { familiarName, parseReference } from './cli-reference.ts';

export const create: CliCommand<ContainerFlags> = {
  name: 'create',
  aliases: ['container create'],
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  summary: 'Create a new container',
  operands: [1, Infinity],
  passThrough: true,
  options: CONTAINER_OPTIONS,
  async run(api, [image, ...command], flags) {
    const surroundings: Surroundings = { environment: process.env, consoleSize: [0, 0], detach: false };
    const body = prepareContainer('create', flags, image!, command, surroundings);
    print(await createContainer(api, 'create', flags, body));
  },
};

/**
 * The body for the daemon, from a command line.
 * @throws CommandError (125) for what is wrong with it, before anything is sent
 */
export function prepareContainer(
  verb: string,
  given: ContainerFlags & { net?: string },
  image: string,
  command: readonly string[],
  surroundings: Surroundings,
): CreateBody {
  try {
    parseReference(image);
    const network = given.network ?? given.net;
    return createBody(network === undefined ? given : { ...given, network }, image, command, surroundings);
  } catch (error) {
    throw new CommandError(messageOf(error), STATUS_REFUSED, { helpOf: verb, cause: error });
  }
}

/**
 * Has the container made, pulling its image first where it is missing (or where `--pull always` asks for it). Answers its id.
 * @throws CommandError (125) with the daemon's words
 */
export async function createContainer(
  api: ApiClient,
  verb: string,
  { name, pull = 'missing', platform, quiet, cidfile }: ContainerFlags,
  body: CreateBody,
): Promise<string> {
  const cid = cidfile === undefined ? undefined : reserveFile(cidfile, verb);
  let id = '';
  try {
    if (pull === 'always') await pullImage(api, body.Image, { platform, quiet, to: process.stderr });
    const post = () =>
      api.json<{ Id: string; Warnings?: string[] | null }>('POST', '/containers/create', {
        query: { name, platform },
        body,
      });
    const made = await post().catch(async (error: unknown) => {
      if (
        !(error instanceof DaemonError && error.status === 404 && isAboutImage(error)) ||
        pull !== 'missing'
      )
        throw error;
      warn(`Unable to find image '${familiarName(body.Image)}' locally`);
      await pullImage(api, body.Image, { platform, quiet, to: process.stderr });
      return await post();
    });
    for (const warning of made.Warnings ?? []) warn(`WARNING: ${warning}`);
    id = made.Id;
    return id;
  } catch (error) {
    // Docker's `create` says the daemon's words alone, with status 1.
    throw verb === 'run' ? refused(error, verb) : error;
  } finally {
    cid?.finish(id);
  }
}

/** The daemon's refusal as `run` and `create` say it. */
export function refused(error: unknown, verb: string, status = STATUS_REFUSED): CommandError {
  return new CommandError(messageOf(error), status, { helpOf: verb, cause: error });
}

const isAboutImage = ({ reason }: DaemonError): boolean => /no such image/i.test(reason);

/** Makes the file for the container's id now, so that it cannot fail later; `finish` writes the id, or takes the file away again. */
function reserveFile(path: string, verb: string): { finish(id: string): void } {
  let fd: number;
  try {
    fd = openSync(path, 'wx');
  } catch (error) {
    const exists = (error as NodeJS.ErrnoException).code === 'EEXIST';
    const message = exists
      ? `container ID file found, make sure the other container isn't running or delete ${path}`
      : messageOf(error);
    throw new CommandError(message, STATUS_REFUSED, { helpOf: verb, cause: error });
  }
  return {
    finish(id) {
      if (id) writeSync(fd, id);
      closeSync(fd);
      if (!id) unlinkSync(path);
    },
  };
}
