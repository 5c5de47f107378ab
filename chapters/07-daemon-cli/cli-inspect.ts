import { DaemonError, type ApiClient } from './api-client.ts';
import { CommandError, imagePath, messageOf, part, print, warn, type CliCommand } from './cli-command.ts';
import { goJson, parseTemplate } from './cli-template.ts';
import { parseOneOf } from './cli-values.ts';

interface InspectFlags {
  format?: string;
  size?: boolean;
  type?: string;
}

/** The kinds of things that have details, in the order in which a name is looked for among them. */
const KINDS: Readonly<Record<string, (name: string) => string>> = {
  container: (name) => `/containers/${part(name)}/json`,
  image: (name) => `${imagePath(name)}/json`,
  network: (name) => `/networks/${part(name)}`,
  volume: (name) => `/volumes/${part(name)}`,
};

export const inspect: CliCommand<InspectFlags> = {
  name: 'inspect',
  aliases: ['container inspect', 'image inspect'],
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  summary: 'Return low-level information on Docker objects',
  operands: [1, Infinity],
  options: [
    { flags: '-f, --format <string>', help: "Format output: 'json' or a Go template" },
    { flags: '-s, --size', help: 'Display total file sizes if the type is container' },
    {
      flags: '--type <string>',
      help: 'Only inspect objects of the given type',
      parse: parseOneOf(...Object.keys(KINDS)),
    },
  ],
  async run(api, names, { format, size, type }) {
    const template = format === undefined || format === 'json' ? undefined : parsed(format);
    const found: unknown[] = [];
    const failures: string[] = [];
    for (const name of names) {
      try {
        found.push(await details(api, name, type, size ?? false));
      } catch (error) {
        failures.push(messageOf(error));
      }
    }
    if (template) for (const item of found) print(filled(template, item));
    else if (format === 'json') print(goJson(found));
    else print(found.length ? goJson(found, 4) : '[]');
    failures.forEach(warn);
    return failures.length ? 1 : 0;
  },
};

/** The exit status for what is no template; 64 is EX_USAGE of sysexits(3). */
const TEMPLATE_WRONG = 64;

function parsed(format: string): ReturnType<typeof parseTemplate> {
  try {
    return parseTemplate(format);
  } catch (error) {
    throw new CommandError(messageOf(error), TEMPLATE_WRONG, { cause: error });
  }
}

function filled(template: ReturnType<typeof parseTemplate>, item: unknown): string {
  try {
    return template(item);
  } catch (error) {
    const known = messageOf(error).startsWith('template parsing error');
    throw new CommandError(
      known ? messageOf(error) : `template parsing error: ${messageOf(error)}`,
      known ? TEMPLATE_WRONG : 1,
      {
        cause: error,
      },
    );
  }
}

/** The details of whatever has this name: a container before an image before a network before a volume. */
async function details(
  api: ApiClient,
  name: string,
  type: string | undefined,
  size: boolean,
): Promise<unknown> {
  for (const [kind, path] of Object.entries(KINDS)) {
    if (type !== undefined && type !== kind) continue;
    try {
      return await api.json('GET', path(name), { query: { size: kind === 'container' && size } });
    } catch (error) {
      const notOfThisKind = error instanceof DaemonError && (error.status === 404 || error.status === 501);
      if (!notOfThisKind || type !== undefined) throw error;
    }
  }
  throw new Error(`Error: No such object: ${name}`);
}
