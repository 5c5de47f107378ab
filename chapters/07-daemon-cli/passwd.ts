import { badParameter } from './api-error.ts';

/** Who a process runs as. */
export interface User {
  uid: number;
  gid: number;
  additionalGids: number[];
}

/** The image's own lists of users and groups, as text; empty where it has none. */
export interface Accounts {
  passwd: string;
  group: string;
}

interface Entry {
  name: string;
  id: number;
  fields: string[];
}

/** The largest id: -1 means "unchanged" to the kernel. */
const MAX_ID = 2 ** 31 - 1;

/**
 * Finds who `user` is: `NAME`, `UID`, `NAME:GROUP`, `UID:GID`, or empty for root. Names are the image's, not the host's. A user that
 * is named without a group has the primary group of its entry and every group that lists it.
 * @throws ApiError 400 when a name is in neither file, or a number is out of range
 */
export function lookUpUser(user: string, accounts: Accounts, groupAdd: readonly string[] = []): User {
  const [who = '', group = ''] = user.split(':', 2);
  const users = entries(accounts.passwd, 2);
  const groups = entries(accounts.group, 2);
  const number = idOf(who === '' ? '0' : who);
  const entry = users.find((e) => (number === undefined ? e.name === who : e.id === number));
  if (!entry && number === undefined)
    throw badParameter(`unable to find user ${who}: no matching entries in passwd file`);
  const listed =
    group === '' && entry
      ? groups.filter((g) => (g.fields[3] ?? '').split(',').includes(entry.name)).map((g) => g.id)
      : [];
  return {
    uid: number ?? entry!.id,
    gid: group === '' ? Number(entry?.fields[3] ?? 0) : findGroup(group, groups),
    additionalGids: [...new Set([...listed, ...groupAdd.map((name) => findGroup(name, groups))])],
  };
}

function findGroup(name: string, groups: readonly Entry[]): number {
  const number = idOf(name);
  if (number !== undefined) return number;
  const entry = groups.find((g) => g.name === name);
  if (!entry) throw badParameter(`unable to find group ${name}: no matching entries in group file`);
  return entry.id;
}

function idOf(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id > MAX_ID) throw badParameter(`uids and gids must be in range 0-${MAX_ID}`);
  return id;
}

/** Lines as passwd(5) and group(5) write them; what is damaged is passed over. */
function entries(text: string, idField: number): Entry[] {
  return text
    .split('\n')
    .map((line) => line.split(':'))
    .filter((fields) => /^\d+$/.test(fields[idField] ?? ''))
    .map((fields) => ({ name: fields[0]!, id: Number(fields[idField]), fields }));
}
