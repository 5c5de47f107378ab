/** What `-p` and `--expose` say, from text. */

/** One published port. */
export interface PublishedPort {
  /** The container's: `80/tcp`. */
  port: string;
  hostIp: string;
  /** Empty: any that is free. */
  hostPort: string;
}

/**
 * `[[ADDRESS:][HOST PORT]:]CONTAINER PORT[/PROTOCOL]`; ports may be ranges of one length: `8000-8002:80-82`.
 * @throws RangeError that says what is allowed
 */
export function parsePublish(text: string): PublishedPort[] {
  const [ports, protocol] = splitProtocol(text);
  // An address of IPv6 has colons of its own, and stands in brackets.
  const match = /^(?:(?:(\[[0-9a-fA-F:.]+\]|[^:[\]]*):)?([^:]*):)?([^:]+)$/.exec(ports);
  if (!match) throw new RangeError('give [[address:]port-on-host:]port-in-container[/tcp|/udp]');
  const [, address = '', onHost = '', inContainer = ''] = match;
  const hostIp = address.replace(/^\[|\]$/g, '');
  if (hostIp && !/^(\d{1,3}(\.\d{1,3}){3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)$/.test(hostIp))
    throw new RangeError(`invalid IP address: ${hostIp}`);
  const container = parseRange(inContainer, 'containerPort');
  const host = onHost ? parseRange(onHost, 'hostPort') : undefined;
  if (host && container.length !== 1 && host.length !== container.length)
    throw new RangeError(
      `invalid ranges specified for container and host ports: ${inContainer} and ${onHost}`,
    );
  return container.map((port, index) => ({
    port: `${port}/${protocol}`,
    hostIp,
    // Many of the host's for one of the container's: the daemon takes any that is free among them.
    hostPort: !host ? '' : container.length === 1 && host.length > 1 ? onHost : String(host[index]),
  }));
}

/** `80`, `80/udp` or `80-82/tcp`. */
export function parseExpose(text: string): string[] {
  const [ports, protocol] = splitProtocol(text);
  return parseRange(ports, 'port').map((port) => `${port}/${protocol}`);
}

function splitProtocol(text: string): [ports: string, protocol: string] {
  const at = text.lastIndexOf('/');
  const protocol = at < 0 ? 'tcp' : text.slice(at + 1).toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(protocol))
    throw new RangeError(`invalid proto: ${protocol}: give tcp, udp or sctp`);
  return [at < 0 ? text : text.slice(0, at), protocol];
}

function parseRange(text: string, what: string): number[] {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (!match || first > 65535 || last > 65535 || last < first)
    throw new RangeError(`invalid ${what}: ${text}: give a port from 0 to 65535, or a range of them`);
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
