import { readFileSync, writeFileSync } from 'node:fs';
import { checkInterfaceName, parseCidr } from './address.ts';
import { listRuleset, type Chain, type Rule, type Ruleset } from './nft.ts';
import { runTool } from './tool.ts';

const IP_FORWARD = '/proc/sys/net/ipv4/ip_forward';

/** The chain of a table of ours that remembers what ip_forward was: hooked to nothing, its one rule has it as its comment. */
const NOTE = 'ip_forward_before';

/** A network whose packets leave the host under the host's address. */
export interface Masquerade {
  /** The nft table, of its own: `mydocker0`. */
  table: string;
  /** The network behind the bridge: `172.28.0.0/16`. An address in it will do. */
  subnet: string;
  bridge: string;
}

/**
 * Lets a bridge's network reach what the host reaches: packets that leave it carry the host's address (masquerade), and the host
 * forwards. Into the network come answers and published ports only: forwarding makes the host a router for its neighbours too.
 * Again with the same table: the rules are made anew; other chains of the table stay.
 *
 * Whether the host forwards at all is one switch for all. It is set if it was off, and what it was is noted in the table, where it
 * lives as long as the rules do. Where a firewall drops what is forwarded (Docker's does), the bridge is let through.
 * Source: nft(8); ip-sysctl in the kernel's documentation.
 * @throws RangeError for a bad name or subnet; Error with the words of nft
 */
export function masquerade({ table, subnet, bridge }: Masquerade): void {
  checkTableName(table);
  checkInterfaceName(bridge);
  const network = parseCidr(subnet).subnet;
  const rules = listRuleset();
  const before = readFileSync(IP_FORWARD, 'utf8').trim();
  const noted = noteOf(rules, table) ?? (before === '1' ? undefined : before);

  //#region masquerade
  runTool(
    'nft',
    ['-f', '-'],
    `
    add table ip ${table}
    add chain ip ${table} postrouting { type nat hook postrouting priority srcnat; }
    add chain ip ${table} forward { type filter hook forward priority filter; }
    add chain ip ${table} ${NOTE}
    flush chain ip ${table} postrouting
    flush chain ip ${table} forward
    flush chain ip ${table} ${NOTE}
    ${noted === undefined ? '' : `add rule ip ${table} ${NOTE} return comment "${noted}"`}
    add rule ip ${table} postrouting ip saddr ${network} oifname != "${bridge}" masquerade
    add rule ip ${table} forward iifname "${bridge}" accept
    add rule ip ${table} forward oifname "${bridge}" ct state established,related accept
    add rule ip ${table} forward oifname "${bridge}" ct status dnat accept
    add rule ip ${table} forward oifname "${bridge}" drop
    `,
  );
  if (before !== '1') writeFileSync(IP_FORWARD, '1');
  //#endregion
  openFirewall(rules, table, bridge);
}

/**
 * Takes all of it back: the table, the openings in other firewalls, and ip_forward, unless somebody else masquerades too. Another
 * table of ours then inherits the note. No such table: nothing done.
 */
export function removeMasquerade({ table }: Pick<Masquerade, 'table'>): void {
  checkTableName(table);
  const rules = listRuleset();
  closeFirewall(rules, table);
  if (!rules.chains.some((chain) => chain.family === 'ip' && chain.table === table)) return;
  const noted = noteOf(rules, table);
  const heir = rules.chains.find((chain) => chain.name === NOTE && chain.table !== table);
  const inherit =
    heir && noted !== undefined ? `add rule ip ${heir.table} ${NOTE} return comment "${noted}"\n` : '';
  runTool('nft', ['-f', '-'], `${inherit}delete table ip ${table}\n`);
  const needed = rules.rules.some(
    (rule) => rule.table !== table && /masquerade/i.test(JSON.stringify(rule.expr)),
  );
  if (noted !== undefined && !heir && !needed) writeFileSync(IP_FORWARD, noted);
}

function noteOf({ rules }: Ruleset, table: string): string | undefined {
  return rules.find((rule) => rule.table === table && rule.chain === NOTE)?.comment;
}

/** A packet must pass every chain of the hook: to accept it in ours says nothing for those that drop by policy. */
function openFirewall(ruleset: Ruleset, table: string, bridge: string): void {
  closeFirewall(ruleset, table);
  const closed = ruleset.chains.filter((chain) => isForeignFirewall(chain, table));
  const lines = closed.flatMap(({ family, table: theirs, name }) =>
    ['iifname', 'oifname'].map(
      (side) => `insert rule ${family} ${theirs} ${name} ${side} "${bridge}" accept comment "${table}"`,
    ),
  );
  if (lines.length > 0) runTool('nft', ['-f', '-'], `${lines.join('\n')}\n`);
}

function closeFirewall({ rules }: Ruleset, table: string): void {
  const lines = rules
    .filter((rule) => rule.comment === table && rule.table !== table)
    .map(
      ({ family, table: theirs, chain, handle }: Rule) =>
        `delete rule ${family} ${theirs} ${chain} handle ${handle}`,
    );
  if (lines.length > 0) runTool('nft', ['-f', '-'], `${lines.join('\n')}\n`);
}

function isForeignFirewall(chain: Chain, table: string): boolean {
  const ofIpv4 = chain.family === 'ip' || chain.family === 'inet';
  return ofIpv4 && chain.hook === 'forward' && chain.policy === 'drop' && chain.table !== table;
}

function checkTableName(table: string): void {
  if (!/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/.test(table))
    throw new RangeError(
      `invalid nft table ${JSON.stringify(table)}: letters, digits, "_", "." and "-", a letter first, at most 63`,
    );
}
