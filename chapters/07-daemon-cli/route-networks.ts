import { badParameter, notFound, notImplemented } from './api-error.ts';
import type { Call } from './call.ts';
import { filters } from './call.ts';
import { fixedNetworkId } from './container-view.ts';
import type { Daemon } from './daemon.ts';
import type { Route } from './router.ts';

/** The networks that are there from the beginning; others are not made here yet. */
export const networkRoutes: readonly Route[] = [
  ['GET', '/networks', list],
  ['POST', '/networks/create', refuse],
  ['POST', '/networks/prune', (_daemon, call) => call.json(200, { NetworksDeleted: null })],
  ['GET', '/networks/{name}', inspect],
  ['POST', '/networks/{name}/connect', refuse],
  ['POST', '/networks/{name}/disconnect', refuse],
  ['DELETE', '/networks/{name}', remove],
];

function networks({ network, containers }: Daemon): { Name: string; Id: string; Driver: string }[] {
  const common = {
    Created: network.created,
    Scope: 'local',
    EnableIPv4: true,
    EnableIPv6: false,
    Internal: false,
    Attachable: false,
    Ingress: false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Labels: {},
  };
  const members = containers.all().flatMap(({ id, name, endpoint }) =>
    endpoint
      ? [
          [
            id,
            {
              Name: name,
              EndpointID: endpoint.id,
              MacAddress: endpoint.mac,
              IPv4Address: `${endpoint.address}/${endpoint.prefixLength}`,
              IPv6Address: '',
            },
          ] as const,
        ]
      : [],
  );
  const fixed = (name: string, driver: string) => ({
    Name: name,
    Id: fixedNetworkId(name),
    ...common,
    Driver: driver,
    IPAM: { Driver: 'default', Options: null, Config: null },
    Containers: {},
    Options: {},
  });
  return [
    {
      Name: 'bridge',
      Id: network.id,
      ...common,
      Driver: 'bridge',
      ...{
        IPAM: {
          Driver: 'default',
          Options: null,
          Config: [{ Subnet: network.subnet, Gateway: network.gateway }],
        },
        Containers: Object.fromEntries(members),
        Options: {
          'com.docker.network.bridge.default_bridge': 'true',
          'com.docker.network.bridge.enable_ip_masquerade': 'true',
          'com.docker.network.bridge.name': network.bridge,
        },
      },
    },
    fixed('host', 'host'),
    fixed('none', 'null'),
  ];
}

function list(daemon: Daemon, call: Call): void {
  const wanted = filters(call.query, ['name', 'id', 'driver', 'type', 'scope', 'label', 'dangling']);
  const matches = (key: string, test: (value: string) => boolean): boolean =>
    wanted.get(key)?.some(test) ?? true;
  call.json(
    200,
    networks(daemon).filter(
      ({ Name, Id, Driver }) =>
        matches('name', (value) => Name.includes(value)) &&
        matches('id', (value) => Id.startsWith(value)) &&
        matches('driver', (value) => Driver === value) &&
        matches('type', (value) => value === 'builtin') &&
        matches('scope', (value) => value === 'local') &&
        matches('label', () => false) &&
        matches('dangling', (value) => value === 'false'),
    ),
  );
}

function find(daemon: Daemon, call: Call): { Name: string } {
  const reference = call.params['name']!;
  const found = networks(daemon).find(({ Name, Id }) => Name === reference || Id.startsWith(reference));
  if (!found) throw notFound(`network ${reference} not found`);
  return found;
}

function inspect(daemon: Daemon, call: Call): void {
  call.json(200, find(daemon, call));
}

function remove(daemon: Daemon, call: Call): void {
  const { Name } = find(daemon, call);
  throw badParameter(`${Name} is a pre-defined network and cannot be removed`);
}

function refuse(): void {
  throw notImplemented('user-made networks are not here yet: there are bridge, host, none and container:ID');
}
