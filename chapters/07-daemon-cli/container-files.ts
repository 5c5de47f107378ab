import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { badParameter } from './api-error.ts';
import type { ContainerRecord } from './container.ts';

/** The three files that a container has of the daemon and not of its image. */
export interface ContainerFiles {
  hosts: string;
  hostname: string;
  resolvConf: string;
}

export const containerFiles = (directory: string): ContainerFiles => ({
  hosts: join(directory, 'hosts'),
  hostname: join(directory, 'hostname'),
  resolvConf: join(directory, 'resolv.conf'),
});

/** Writes them for the run that begins: its address is new. They are bound as files, so they are written in place. */
export function writeContainerFiles(
  files: ContainerFiles,
  { config, hostConfig, endpoint }: ContainerRecord,
  gateway: string,
): void {
  const onHost = hostConfig.NetworkMode === 'host';
  const extra = (hostConfig.ExtraHosts ?? []).map((entry) => extraHost(entry, gateway));
  const name = config.Domainname
    ? `${config.Hostname}.${config.Domainname} ${config.Hostname}`
    : config.Hostname;
  writeFileSync(files.hostname, `${onHost ? hostname() : config.Hostname}\n`);
  writeFileSync(
    files.hosts,
    onHost
      ? [readText('/etc/hosts'), ...extra].join('')
      : [
          '127.0.0.1\tlocalhost\n',
          '::1\tlocalhost ip6-localhost ip6-loopback\n',
          'fe00::0\tip6-localnet\n',
          'ff00::0\tip6-mcastprefix\n',
          'ff02::1\tip6-allnodes\n',
          'ff02::2\tip6-allrouters\n',
          ...extra,
          ...(endpoint ? [`${endpoint.address}\t${name}\n`] : []),
        ].join(''),
  );
  writeFileSync(files.resolvConf, resolvConf(readText('/etc/resolv.conf'), hostConfig, onHost));
}

/** `NAME:ADDRESS`, where the address `host-gateway` is the host's own in the bridge's network. */
function extraHost(entry: string, gateway: string): string {
  const [, name, address] = /^([^:=]+)[:=](.+)$/.exec(entry) ?? [];
  if (!name || !address)
    throw badParameter(`invalid extra host: ${JSON.stringify(entry)}: give NAME:ADDRESS`);
  return `${address === 'host-gateway' ? gateway : address}\t${name}\n`;
}

/**
 * The host's resolver configuration with what the user said in its place. A server on the host's loopback cannot be reached from
 * another network namespace; where only such are left, Google's public ones stand in, as with Docker.
 */
export function resolvConf(
  ofHost: string,
  { Dns, DnsSearch, DnsOptions }: Pick<ContainerRecord['hostConfig'], 'Dns' | 'DnsSearch' | 'DnsOptions'>,
  onHost: boolean,
): string {
  const lines = ofHost.split('\n').filter((line) => /^\s*(nameserver|search|domain|options)\s/.test(line));
  const keep = (word: string, given: readonly string[] | null): string[] =>
    given?.length ? [] : lines.filter((line) => line.trim().startsWith(word));
  const servers = Dns?.length
    ? Dns.map((server) => `nameserver ${server}`)
    : lines.filter((line) => /^\s*nameserver/.test(line) && (onHost || !/\s(127\.|::1)/.test(line)));
  if (servers.length === 0 && !onHost) servers.push('nameserver 8.8.8.8', 'nameserver 8.8.4.4');
  return [
    ...servers,
    ...keep('search', DnsSearch),
    ...keep('domain', DnsSearch),
    ...(DnsSearch?.length && DnsSearch[0] !== '.' ? [`search ${DnsSearch.join(' ')}`] : []),
    ...keep('options', DnsOptions),
    ...(DnsOptions?.length ? [`options ${DnsOptions.join(' ')}`] : []),
    '',
  ].join('\n');
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
