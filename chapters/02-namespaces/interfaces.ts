import { readFileSync } from 'node:fs';

// What the network namespace of this thread has, from /proc, which costs no program. Not /sys/class/net: that shows the namespace in which
// sysfs was mounted.

/** The names of its interfaces. Source: proc_pid_net(5), `dev`. */
export function interfaceNames(): string[] {
  const [, , ...lines] = readFileSync('/proc/thread-self/net/dev', 'utf8').trimEnd().split('\n');
  return lines.map((line) => line.slice(0, line.lastIndexOf(':')).trim());
}

/** Its own IPv4 addresses: in the tree of routes, those that lead to the machine itself. Source: proc_pid_net(5), `fib_trie`. */
export function localAddresses(): string[] {
  const routes = readFileSync('/proc/thread-self/net/fib_trie', 'utf8');
  const found = routes.matchAll(/\|-- (\d+\.\d+\.\d+\.\d+)\n +\/32 host LOCAL/g);
  return [...new Set([...found].map(([, address]) => address!))];
}
