import { isIPv6 } from 'node:net';
import { CommandError, part, print, type CliCommand } from './cli-command.ts';

type Bindings = Record<string, { HostIp: string; HostPort: string }[] | null>;

export const port: CliCommand = {
  name: 'port',
  aliases: ['container port'],
  usage: 'CONTAINER [PRIVATE_PORT[/PROTO]]',
  summary: 'List port mappings or a specific mapping for the container',
  operands: [1, 2],
  options: [],
  async run(api, [name, wanted]) {
    const asked = wanted === undefined ? undefined : withProtocol(wanted);
    const { NetworkSettings } = await api.json<{ NetworkSettings: { Ports: Bindings | null } }>(
      'GET',
      `/containers/${part(name!)}/json`,
    );
    const bindings = NetworkSettings.Ports ?? {};
    if (asked === undefined) {
      const lines = Object.entries(bindings).flatMap(([inside, hosts]) =>
        (hosts ?? []).map((host) => `${inside} -> ${address(host)}`),
      );
      lines.sort().forEach(print);
      return;
    }
    const hosts = bindings[asked] ?? [];
    if (!hosts.length) throw new CommandError(`Error: No public port '${wanted}' published for ${name}`);
    hosts.map(address).forEach(print);
  },
};

function withProtocol(text: string): string {
  const [number = '', protocol = 'tcp'] = text.split('/');
  if (!/^\d+$/.test(number) || Number(number) > 65535)
    throw new CommandError(
      `Error: invalid port (${number}): give a number from 0 to 65535, such as 80 or 53/udp`,
    );
  return `${number}/${protocol}`;
}

const address = ({ HostIp, HostPort }: { HostIp: string; HostPort: string }): string =>
  `${isIPv6(HostIp) ? `[${HostIp}]` : HostIp}:${HostPort}`;
