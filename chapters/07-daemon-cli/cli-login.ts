import { createInterface } from 'node:readline/promises';
import {
  credentialsKey,
  dockerConfigPath,
  eraseCredentials,
  storeCredentials,
} from '../04-overlayfs/index.ts';
import { CommandError, print, warn, type CliCommand } from './cli-command.ts';

interface LoginFlags {
  username?: string;
  password?: string;
  passwordStdin?: boolean;
}

const HUB = 'docker.io';
const registryOf = (address = HUB): string => address.replace(/^https?:\/\//, '').replace(/\/.*$/, '') || HUB;

export const login: CliCommand<LoginFlags> = {
  name: 'login',
  usage: '[OPTIONS] [SERVER]',
  summary: 'Authenticate to a registry',
  operands: [0, 1],
  options: [
    { flags: '-p, --password <string>', help: 'Password or Personal Access Token (PAT)' },
    { flags: '--password-stdin', help: 'Take the Password or Personal Access Token (PAT) from stdin' },
    { flags: '-u, --username <string>', help: 'Username' },
  ],
  async run(api, [server], flags) {
    if (flags.password !== undefined && flags.passwordStdin)
      throw new CommandError('--password and --password-stdin are mutually exclusive');
    if (flags.passwordStdin && !flags.username)
      throw new CommandError('the --password-stdin option requires --username');
    if (flags.password !== undefined)
      warn('WARNING! Using --password via the CLI is insecure. Use --password-stdin.');
    const { username, password } = await askMissing(flags);
    const registry = registryOf(server);
    const answer = await api.json<{ IdentityToken?: string; Status: string }>('POST', '/auth', {
      body: { username, password, serveraddress: credentialsKey(registry) },
    });
    const { IdentityToken } = answer;
    const keeper = await storeCredentials(dockerConfigPath(), registry, {
      username,
      ...(IdentityToken ? { identityToken: IdentityToken } : { password }),
    });
    if (keeper.includes('/')) warn(`\nWARNING! Your credentials are stored unencrypted in '${keeper}'.`);
    print(answer.Status);
  },
};

/** Name and password, asked for where they were not given. @throws CommandError where nobody can be asked */
async function askMissing({
  username,
  password,
  passwordStdin,
}: LoginFlags): Promise<{ username: string; password: string }> {
  if (passwordStdin) {
    const chunks: Buffer[] = [];
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
    password = Buffer.concat(chunks)
      .toString()
      .replace(/\r?\n$/, '');
  }
  if (username !== undefined && password !== undefined) {
    if (username === '' || password === '') throw new CommandError('Error: Username and Password Required');
    return { username, password };
  }
  if (!process.stdin.isTTY)
    throw new CommandError('Error: Cannot perform an interactive login from a non TTY device');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    username ||= await lines.question('Username: ');
    process.stdout.write('Password: ');
    // What is typed is not to be seen: readline echoes through this.
    Object.assign(lines, { _writeToOutput: () => undefined });
    password ??= await lines.question('');
    process.stdout.write('\n');
  } finally {
    lines.close();
  }
  if (username === '' || password === '') throw new CommandError('Error: Username and Password Required');
  return { username, password };
}

export const logout: CliCommand = {
  name: 'logout',
  usage: '[SERVER]',
  summary: 'Log out from a registry',
  operands: [0, 1],
  options: [],
  async run(_api, [server]) {
    const registry = registryOf(server);
    const known = await eraseCredentials(dockerConfigPath(), registry);
    print(
      known
        ? `Removing login credentials for ${credentialsKey(registry)}`
        : `Not logged in to ${credentialsKey(registry)}`,
    );
  },
};
