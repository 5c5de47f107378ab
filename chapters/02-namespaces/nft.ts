import { runTool } from './tool.ts';

/** A chain of the firewall; hook, type and policy only where the kernel calls it. */
export interface Chain {
  family: string;
  table: string;
  name: string;
  type?: string;
  hook?: string;
  policy?: string;
}

/** A rule. */
export interface Rule {
  family: string;
  table: string;
  chain: string;
  /** By which it is deleted. */
  handle: number;
  comment?: string;
  expr: unknown;
}

/** The whole firewall of this network namespace. */
export interface Ruleset {
  chains: Chain[];
  rules: Rule[];
}

/** Reads the firewall, also what iptables-nft has put there (not what iptables-legacy has). libnftables-json(5). */
export function listRuleset(): Ruleset {
  const { nftables } = JSON.parse(runTool('nft', ['-j', 'list', 'ruleset'])) as {
    nftables: { chain?: Chain; rule?: Rule }[];
  };
  return {
    chains: nftables.flatMap(({ chain }) => chain ?? []),
    rules: nftables.flatMap(({ rule }) => rule ?? []),
  };
}
