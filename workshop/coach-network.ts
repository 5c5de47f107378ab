import type { Failure, Rule } from './coach-rule.ts';
import { can, firstMissing, isForeign, isThere } from './coach-machine.ts';

// `ip` and `nft`, which say what the kernel answered in words, and sockets: connect(2), bind(2).

const IP = ['ip'];
const says =
  (words: RegExp) =>
  (failure: Failure): boolean =>
    words.test(failure.message);

export const networkRules: readonly Rule[] = [
  {
    calls: ['ip', 'nft'],
    when: (failure) => says(/not permitted/)(failure) && (!can('CAP_NET_ADMIN') || isForeign('net')),
    says: 'To change the network needs CAP_NET_ADMIN in the user namespace that owns this network namespace. Do it before capabilities are dropped; with CLONE_NEWUSER make a network namespace too.',
  },
  {
    calls: IP,
    when: says(/^ip route.*File exists/m),
    says: 'There is such a route already: the kernel makes one for the subnet of each address, and there is one default route. Use ip route replace, or remove the old one.',
  },
  {
    calls: IP,
    when: says(/^ip addr.*(File exists|already assigned)/m),
    says: 'The interface has this address already. Use ip address replace, or leave it out.',
  },
  {
    calls: IP,
    when: says(/File exists/),
    says: 'There is an interface of this name already, in this network namespace or in the one that the peer goes to; perhaps an earlier attempt left it. Delete it (ip link delete) or take another name.',
  },
  {
    calls: IP,
    when: says(/Cannot find device|does not exist/),
    says: 'There is no interface of this name in this network namespace. The other end of a veth pair lies in the other namespace: make it there, or run ip inside that namespace.',
  },
  {
    calls: IP,
    when: says(/not a valid ifname|Attribute failed policy|Numerical result out of range/),
    says: 'The name is not one for an interface: it has 1 to 15 characters, without space and slash. Shorten it: runtimes take veth and some hexadecimal digits.',
  },
  {
    calls: IP,
    when: says(/invalid gateway|Network is unreachable/i),
    says: 'The gateway cannot be reached directly: no address of an interface that is up lies in its subnet. Add the address and set the interface up first, then the route.',
  },
  {
    calls: IP,
    when: says(/Network is down|is not up/),
    says: 'The interface is down. Set it up before routes are added: ip link set dev NAME up.',
  },
  {
    calls: IP,
    when: says(/Invalid "?netns"? value|netns/),
    says: 'The network namespace that was named is not there: the process has ended, or the path does not exist. Keep the process alive while its interfaces are made.',
  },
  {
    calls: ['nft'],
    when: says(/No such file or directory/),
    says: 'The table, chain or rule that was named does not exist in this network namespace. Add the table first, then the chain, then rules; to delete what may be gone, "destroy" it or list before.',
  },
  {
    calls: ['nft'],
    when: says(/syntax error/),
    says: 'nft cannot read the rule: the place is marked with ^ in its message. A chain that hooks in needs "{ type nat hook postrouting priority 100 ; }", with its semicolon.',
  },
  {
    calls: ['connect'],
    codes: ['ECONNREFUSED'],
    when: ({ subject, paths }) => subject.includes('/') && isThere(paths[0]),
    says: 'The socket’s file is there but nobody listens: the daemon has ended and left the file. Start it again; a daemon unlinks the stale file before it binds.',
  },
  {
    calls: ['connect'],
    codes: ['ENOENT'],
    says: ({ paths }) =>
      `There is no socket at this path: ${firstMissing(paths[0] ?? '')} is missing. Start the daemon, wait until it listens, and compare the path that both were given.`,
  },
  {
    calls: ['bind', 'listen'],
    codes: ['EADDRINUSE'],
    says: 'The address is taken: another process listens there, or a socket’s file was left by one that has ended. Unlink the file if nobody answers, or end the other process.',
  },
];
