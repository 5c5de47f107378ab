import { isIPv6 } from 'node:net';
import { print, type CliCommand } from './cli-command.ts';
import { ago, decimalSize, ellipsis, goTime, shortId } from './cli-format.ts';
import { filtersQuery, parseFilter, printList, type Column } from './cli-listing.ts';
import { parseInteger } from './cli-values.ts';

interface PsFlags {
  all?: boolean;
  filter?: [string, string][];
  format?: string;
  last?: number;
  latest?: boolean;
  noTrunc?: boolean;
  quiet?: boolean;
  size?: boolean;
}

export const ps: CliCommand<PsFlags> = {
  name: 'ps',
  aliases: ['container ls', 'container list', 'container ps'],
  usage: '[OPTIONS]',
  summary: 'List containers',
  operands: [0, 0],
  options: [
    { flags: '-a, --all', help: 'Show all containers (default shows just running)' },
    {
      flags: '-f, --filter <filter>',
      help: 'Filter output based on conditions provided',
      parse: parseFilter,
      list: true,
    },
    { flags: '--format <string>', help: "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
    {
      flags: '-n, --last <int>',
      help: 'Show n last created containers (includes all states)',
      parse: parseInteger(),
    },
    { flags: '-l, --latest', help: 'Show the latest created container (includes all states)' },
    { flags: '--no-trunc', help: "Don't truncate output" },
    { flags: '-q, --quiet', help: 'Only display container IDs' },
    { flags: '-s, --size', help: 'Display total file sizes' },
  ],
  async run(api, _operands, { all, filter, format, last, latest, noTrunc = false, quiet, size }) {
    const limit = latest ? 1 : last && last > 0 ? last : undefined;
    const containers = await api.json<ListedContainer[]>('GET', '/containers/json', {
      query: {
        all,
        limit,
        size: size || /\.Size|json \.\s*\}/.test(format ?? ''),
        filters: filtersQuery(filter),
      },
    });
    if (quiet && !format) containers.forEach(({ Id }) => print(noTrunc ? Id : shortId(Id)));
    else printList(containers, columns(noTrunc), [...SHOWN, ...(size ? ['Size'] : [])], format);
  },
};

const SHOWN = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names'];

interface ListedContainer {
  Id: string;
  Names: string[];
  Image: string;
  ImageID: string;
  Command: string;
  /** seconds since 1970 */
  Created: number;
  State: string;
  Status: string;
  Ports: ListedPort[] | null;
  Labels: Record<string, string> | null;
  SizeRw?: number;
  SizeRootFs?: number;
  NetworkSettings?: { Networks?: Record<string, unknown> | null } | null;
  Mounts?: { Type: string; Name?: string; Source: string }[] | null;
}

interface ListedPort {
  IP?: string;
  PrivatePort: number;
  PublicPort?: number;
  Type: string;
}

function columns(noTrunc: boolean): Column<ListedContainer>[] {
  return [
    { field: 'ID', heading: 'CONTAINER ID', text: ({ Id }) => (noTrunc ? Id : shortId(Id)) },
    { field: 'Image', heading: 'IMAGE', text: (c) => imageName(c, noTrunc) },
    {
      field: 'Command',
      heading: 'COMMAND',
      text: ({ Command }) => JSON.stringify(noTrunc ? Command : ellipsis(Command, 20)),
    },
    { field: 'CreatedAt', heading: 'CREATED AT', text: ({ Created }) => goTime(Created) },
    { field: 'RunningFor', heading: 'CREATED', text: ({ Created }) => ago(Created) },
    { field: 'Status', heading: 'STATUS', text: ({ Status }) => Status },
    { field: 'State', heading: 'STATE', text: ({ State }) => State },
    { field: 'Ports', heading: 'PORTS', text: ({ Ports }) => describePorts(Ports ?? []) },
    { field: 'Names', heading: 'NAMES', text: (c) => names(c, noTrunc).join(',') },
    { field: 'Labels', heading: 'LABELS', text: ({ Labels }) => labels(Labels ?? {}) },
    { field: 'Size', heading: 'SIZE', text: describeSize },
    {
      field: 'Mounts',
      heading: 'MOUNTS',
      text: ({ Mounts }) => (Mounts ?? []).map((m) => mountName(m, noTrunc)).join(','),
    },
    {
      field: 'LocalVolumes',
      heading: 'LOCAL VOLUMES',
      text: ({ Mounts }) => String((Mounts ?? []).filter(({ Name }) => Name).length),
    },
    {
      field: 'Networks',
      heading: 'NETWORKS',
      text: (c) => Object.keys(c.NetworkSettings?.Networks ?? {}).join(','),
    },
  ];
}

function imageName({ Image, ImageID }: ListedContainer, noTrunc: boolean): string {
  if (Image === '') return '<no image>';
  // An image that has lost its name is shown by its id.
  return !noTrunc && Image === ImageID ? shortId(Image) : Image;
}

/** Without the slash that the API puts before each; names that a link gave (`/other/alias`) only in full. */
function names({ Names }: ListedContainer, noTrunc: boolean): string[] {
  const bare = Names.map((name) => name.replace(/^\//, ''));
  return noTrunc ? bare : bare.filter((name) => !name.includes('/')).slice(0, Names.length);
}

const labels = (all: Record<string, string>): string =>
  Object.entries(all)
    .map(([key, value]) => `${key}=${value}`)
    .join(',');

function describeSize({ SizeRw = 0, SizeRootFs = 0 }: ListedContainer): string {
  const own = decimalSize(SizeRw);
  return SizeRootFs > 0 ? `${own} (virtual ${decimalSize(SizeRootFs)})` : own;
}

function mountName({ Name, Source }: { Name?: string; Source: string }, noTrunc: boolean): string {
  const name = Name || Source;
  return noTrunc ? name : ellipsis(name, 15);
}

/**
 * `0.0.0.0:8080->80/tcp, 99/tcp`: neighbouring ports that go to the same ones become a range.
 * Source: DisplayablePorts in the docker client.
 */
export function describePorts(ports: readonly ListedPort[]): string {
  interface Group {
    key: string;
    privateFirst: number;
    last: number;
    publicFirst: number;
    ip: string;
    type: string;
  }
  const groups: Group[] = [];
  const inOrder = [...ports].sort(
    (a, b) =>
      a.PrivatePort - b.PrivatePort ||
      compare(a.IP ?? '', b.IP ?? '') ||
      (a.PublicPort ?? 0) - (b.PublicPort ?? 0) ||
      compare(a.Type, b.Type),
  );
  // Those without a port on the host, and those whose port on the host is another, stand alone; the others join a neighbour.
  for (const { IP: ip = '', PrivatePort, PublicPort = 0, Type: type } of inOrder) {
    const key = `${ip}/${type}`;
    const joinable = PublicPort === 0 || PublicPort === PrivatePort;
    const before = groups.find(
      (g) =>
        joinable &&
        g.key === key &&
        g.last === PrivatePort - 1 &&
        (PublicPort === 0) === (g.publicFirst === 0),
    );
    if (before) before.last = PrivatePort;
    else
      groups.push({
        key: joinable ? key : '',
        privateFirst: PrivatePort,
        last: PrivatePort,
        publicFirst: PublicPort,
        ip,
        type,
      });
  }
  const range = (first: number, last: number): string =>
    first === last ? String(first) : `${first}-${last}`;
  return groups
    .sort((a, b) => Number(a.key === '') - Number(b.key === ''))
    .map(({ privateFirst, last, publicFirst, ip, type }) => {
      const inside = `${range(privateFirst, last)}/${type}`;
      if (!publicFirst) return inside;
      const address = isIPv6(ip) ? `[${ip}]` : ip;
      return `${address && `${address}:`}${range(publicFirst, publicFirst + last - privateFirst)}->${inside}`;
    })
    .join(', ');
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
