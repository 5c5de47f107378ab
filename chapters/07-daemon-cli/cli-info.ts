import { CommandError, messageOf, print, type CliCommand } from './cli-command.ts';
import { binarySize } from './cli-format.ts';
import { goJson, parseTemplate } from './cli-template.ts';
import { CLIENT_VERSION } from './cli-version.ts';

export const info: CliCommand<{ format?: string }> = {
  name: 'info',
  aliases: ['system info'],
  usage: '[OPTIONS]',
  summary: 'Display system-wide information',
  operands: [0, 0],
  options: [{ flags: '-f, --format <string>', help: "Format output: 'json' or a Go template" }],
  async run(api, _operands, { format }) {
    const template = format && format !== 'json' ? parseTemplate(format) : undefined;
    if (format !== undefined) {
      const facts = await api.json<ServerInfo>('GET', '/info');
      try {
        print(template ? template(facts) : goJson(facts));
      } catch (error) {
        throw new CommandError(messageOf(error), 1, { cause: error });
      }
      return;
    }
    print(`Client:\n Version:    ${CLIENT_VERSION}\n Debug Mode: false\n\nServer:`);
    describe(await api.json<ServerInfo>('GET', '/info')).forEach(print);
  },
};

/** What is shown of GET /info; a daemon may leave any of it out. */
interface ServerInfo {
  [name: string]: unknown;
  DriverStatus?: [string, string][] | null;
  Plugins?: Record<string, string[] | null> | null;
  Runtimes?: Record<string, unknown> | null;
  SecurityOptions?: string[] | null;
  Labels?: string[] | null;
  Warnings?: string[] | null;
  MemTotal?: number;
}

/** Title and value of each line, in Docker's order; left out where the daemon says nothing of it. */
const LINES: readonly [title: string, of: (info: ServerInfo) => unknown][] = [
  ['Containers', (i) => i['Containers']],
  [' Running', (i) => i['ContainersRunning']],
  [' Paused', (i) => i['ContainersPaused']],
  [' Stopped', (i) => i['ContainersStopped']],
  ['Images', (i) => i['Images']],
  ['Server Version', (i) => i['ServerVersion']],
  ['Storage Driver', (i) => i['Driver']],
  ['Logging Driver', (i) => i['LoggingDriver']],
  ['Cgroup Driver', (i) => i['CgroupDriver']],
  ['Cgroup Version', (i) => i['CgroupVersion']],
  [
    'Runtimes',
    (i) =>
      Object.keys(i.Runtimes ?? {})
        .sort()
        .join(' ') || undefined,
  ],
  ['Default Runtime', (i) => i['DefaultRuntime']],
  ['Kernel Version', (i) => i['KernelVersion']],
  ['Operating System', (i) => i['OperatingSystem']],
  ['OSType', (i) => i['OSType']],
  ['Architecture', (i) => i['Architecture']],
  ['CPUs', (i) => i['NCPU']],
  ['Total Memory', (i) => (i.MemTotal === undefined ? undefined : binarySize(i.MemTotal))],
  ['Name', (i) => i['Name']],
  ['ID', (i) => i['ID']],
  ['Docker Root Dir', (i) => i['DockerRootDir']],
  ['Debug Mode', (i) => i['Debug']],
  ['Experimental', (i) => i['ExperimentalBuild']],
  ['Live Restore Enabled', (i) => i['LiveRestoreEnabled']],
];

function describe(info: ServerInfo): string[] {
  return LINES.flatMap(([title, of]) => {
    const value = of(info);
    if (value === undefined || value === null || value === '') return [];
    const line = ` ${title}: ${String(value)}`;
    return title === 'Storage Driver'
      ? [line, ...(info.DriverStatus ?? []).map(([name, text]) => `  ${name}: ${text}`)]
      : [line];
  }).concat((info.Warnings ?? []).map((warning) => warning));
}
