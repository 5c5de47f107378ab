import { spawn } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isErrno } from '../01-processes/index.ts';
import { invalidArgument } from './errors.ts';
import { writeFileAtomic } from './state-file.ts';

/** Who one is for a registry: a name and a password, or a token that stands for both. */
export interface Credentials {
  username?: string;
  password?: string;
  /** Exchanged for short-lived tokens at the registry's token server. */
  identityToken?: string;
}

interface AuthEntry {
  /** base64 of NAME:PASSWORD: written, not encrypted */
  auth?: string;
  identitytoken?: string;
}

/** `config.json` as the docker client keeps it. What is not named here is kept as it is. */
interface DockerConfig {
  auths?: Record<string, AuthEntry>;
  /** The program `docker-credential-NAME` keeps the passwords of all registries. */
  credsStore?: string;
  /** … or that of one. */
  credHelpers?: Record<string, string>;
  [other: string]: unknown;
}

/** The name under which Docker has always kept what is for Docker Hub. */
const HUB_KEY = 'https://index.docker.io/v1/';
const TOKEN_USER = '<token>';

/** Where the docker client keeps its settings. */
export const dockerConfigPath = (environment: NodeJS.ProcessEnv = process.env): string =>
  join(environment['DOCKER_CONFIG'] || join(environment['HOME'] || homedir(), '.docker'), 'config.json');

/** A registry's key in config.json. */
export const credentialsKey = (host: string): string =>
  ['docker.io', 'index.docker.io', 'registry-1.docker.io'].includes(host) ? HUB_KEY : host;

/**
 * What is kept for a registry, by its credential helper or in the file; `undefined` if nothing is.
 * @throws StoreError INVALID_ARGUMENT when the file is damaged, Error when the helper fails
 */
export async function readCredentials(path: string, host: string): Promise<Credentials | undefined> {
  const config = await readConfig(path);
  const key = credentialsKey(host);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) return fromHelper(await callHelper(helper, 'get', key));
  const entry = config.auths?.[key] ?? config.auths?.[`https://${key}`] ?? config.auths?.[`http://${key}`];
  if (!entry) return undefined;
  if (entry.identitytoken) return { identityToken: entry.identitytoken };
  const text = Buffer.from(entry.auth ?? '', 'base64').toString();
  const colon = text.indexOf(':');
  if (colon < 1)
    throw invalidArgument(`${path}: "auth" of ${JSON.stringify(key)} is not base64 of NAME:PASSWORD`);
  return { username: text.slice(0, colon), password: text.slice(colon + 1).replace(/\0+$/, '') };
}

/** Keeps what is for a registry. Says by whom it is kept: the path, or the helper's name. @throws as readCredentials */
export async function storeCredentials(
  path: string,
  host: string,
  credentials: Credentials,
): Promise<string> {
  const config = await readConfig(path);
  const key = credentialsKey(host);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  const { username = '', password = '', identityToken } = credentials;
  if (helper) {
    const secret = {
      ServerURL: key,
      Username: identityToken ? TOKEN_USER : username,
      Secret: identityToken ?? password,
    };
    await callHelper(helper, 'store', JSON.stringify(secret));
    return helper;
  }
  const auth = Buffer.from(`${username}:${password}`).toString('base64');
  const entry = identityToken
    ? { auth: Buffer.from(`${username}:`).toString('base64'), identitytoken: identityToken }
    : { auth };
  await writeConfig(path, { ...config, auths: { ...config.auths, [key]: entry } });
  return path;
}

/** Forgets what is kept for a registry. Says whether there was anything. @throws as readCredentials */
export async function eraseCredentials(path: string, host: string): Promise<boolean> {
  const config = await readConfig(path);
  const key = credentialsKey(host);
  const helper = config.credHelpers?.[key] ?? config.credsStore;
  if (helper) {
    if ((await callHelper(helper, 'get', key)) === undefined) return false;
    await callHelper(helper, 'erase', key);
    return true;
  }
  if (!config.auths || !Object.hasOwn(config.auths, key)) return false;
  const { [key]: _, ...auths } = config.auths;
  await writeConfig(path, { ...config, auths });
  return true;
}

async function readConfig(path: string): Promise<DockerConfig> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return {};
    throw error;
  }
  try {
    const config: unknown = JSON.parse(text);
    if (typeof config === 'object' && config !== null && !Array.isArray(config))
      return config as DockerConfig;
  } catch (error) {
    throw invalidArgument(`${path} is not JSON`, error);
  }
  throw invalidArgument(`${path} is not a JSON object`);
}

async function writeConfig(path: string, config: DockerConfig): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await writeFileAtomic(path, `${JSON.stringify(config, null, '\t')}\n`);
}

function fromHelper(answer: string | undefined): Credentials | undefined {
  if (answer === undefined) return undefined;
  const { Username, Secret } = JSON.parse(answer) as { Username: string; Secret: string };
  return Username === TOKEN_USER ? { identityToken: Secret } : { username: Username, password: Secret };
}

/**
 * Asks a credential helper: a word as its argument, the rest on standard input. `undefined`: it has nothing.
 * Source: docker-credential-helpers, README.md, "Development".
 */
async function callHelper(
  name: string,
  verb: 'get' | 'store' | 'erase',
  input: string,
): Promise<string | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name))
    throw invalidArgument(`${JSON.stringify(name)} is no name of a credential helper`);
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'inherit'] });
    const out: Buffer[] = [];
    child.on('error', (error) => reject(new Error(`${program}: ${error.message}`, { cause: error })));
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stdin.on('error', () => undefined); // one that ends early says why by its status
    child.stdin.end(input);
    child.on('close', (status) => {
      const text = Buffer.concat(out).toString();
      if (status === 0) return resolve(text);
      if (/credentials not found/.test(text)) return resolve(undefined);
      reject(new Error(`${program} ${verb}: ${text.trim() || `status ${status}`}`));
    });
  });
}
