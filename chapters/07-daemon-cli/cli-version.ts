import { API_VERSION, type ApiClient } from './api-client.ts';
import { CommandError, messageOf, print, type CliCommand } from './cli-command.ts';
import { goJson, parseTemplate } from './cli-template.ts';

export const CLIENT_VERSION = '0.1.0';

export const version: CliCommand<{ format?: string }> = {
  name: 'version',
  usage: '[OPTIONS]',
  summary: 'Show the version information of client and daemon',
  operands: [0, 0],
  options: [{ flags: '-f, --format <string>', help: "Format output: 'json' or a Go template" }],
  async run(api, _operands, { format }) {
    const template = format && format !== 'json' ? parseTemplate(format) : undefined;
    let server: ServerVersion | undefined;
    let failure: unknown;
    try {
      server = await api.json<ServerVersion>('GET', '/version');
    } catch (error) {
      failure = error;
    }
    const client = await clientVersion(api, server);
    if (template) {
      if (failure && format!.includes('.Server')) throw failure as Error;
      print(render(template, { Client: client, Server: server ?? null }));
    } else if (format === 'json') print(goJson({ Client: client, Server: server ?? null }));
    else describe(client, server).forEach(print);
    if (failure) throw failure as Error;
  },
};

function render(template: ReturnType<typeof parseTemplate>, data: unknown): string {
  try {
    return template(data);
  } catch (error) {
    throw new CommandError(messageOf(error), 1, { cause: error });
  }
}

interface ServerVersion {
  Platform?: { Name: string };
  Components?: { Name: string; Version: string; Details?: Record<string, string> }[];
  Version: string;
  ApiVersion: string;
  MinAPIVersion?: string;
  Os: string;
  Arch: string;
}

async function clientVersion(
  api: ApiClient,
  server: ServerVersion | undefined,
): Promise<Record<string, string>> {
  return {
    Version: CLIENT_VERSION,
    ApiVersion: server ? await api.version() : API_VERSION,
    DefaultAPIVersion: API_VERSION,
    NodeVersion: process.version,
    Os: process.platform,
    Arch: goArch(process.arch),
    Context: 'default',
  };
}

/** Go's name for a kind of processor. */
export const goArch = (arch: string): string => ({ x64: 'amd64', ia32: '386' })[arch] ?? arch;

/** Details of the engine that are shown, by the API's names. */
const ENGINE_DETAILS: Readonly<Record<string, string>> = {
  GoVersion: 'Go version',
  NodeVersion: 'Node version',
  GitCommit: 'Git commit',
  BuildTime: 'Built',
};

function describe(client: Record<string, string>, server: ServerVersion | undefined): string[] {
  const api =
    client['ApiVersion'] === API_VERSION
      ? API_VERSION
      : `${client['ApiVersion']} (downgraded from ${API_VERSION})`;
  const lines = [
    'Client:',
    ...aligned(1, 20, [
      ['Version', client['Version']],
      ['API version', api],
      ['Node version', client['NodeVersion']],
      ['OS/Arch', `${client['Os']}/${client['Arch']}`],
    ]),
  ];
  if (!server) return lines;
  lines.push('', `Server:${server.Platform?.Name ? ` ${server.Platform.Name}` : ''}`);
  const [engine, ...others] = server.Components ?? [{ Name: 'Engine', Version: server.Version }];
  const details = engine?.Details ?? {};
  lines.push(
    ` ${engine?.Name ?? 'Engine'}:`,
    ...aligned(2, 19, [
      ['Version', engine?.Version ?? server.Version],
      [
        'API version',
        `${server.ApiVersion}${server.MinAPIVersion ? ` (minimum version ${server.MinAPIVersion})` : ''}`,
      ],
      ...Object.entries(ENGINE_DETAILS).flatMap(([key, title]): [string, string][] =>
        details[key] ? [[title, details[key]]] : [],
      ),
      ['OS/Arch', `${server.Os}/${server.Arch}`],
      ...(details['Experimental'] ? ([['Experimental', details['Experimental']]] as [string, string][]) : []),
    ]),
  );
  for (const { Name, Version, Details } of others)
    lines.push(
      ` ${Name}:`,
      ...aligned(2, 19, [
        ['Version', Version],
        ...(Details?.['GitCommit'] ? ([['GitCommit', Details['GitCommit']]] as [string, string][]) : []),
      ]),
    );
  return lines;
}

function aligned(
  indent: number,
  width: number,
  rows: readonly (readonly [string, string | undefined])[],
): string[] {
  return rows.map(([title, text = '']) =>
    `${' '.repeat(indent)}${`${title}:`.padEnd(width - indent + 1)}${text}`.trimEnd(),
  );
}
