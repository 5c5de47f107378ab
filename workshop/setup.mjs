// Finds and installs what the workshop needs, before anything else can run: so this file uses Node alone.
// `node workshop/setup.mjs [--test]`. Says what it installs; without root it says what to type, and fails.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const forTests = process.argv.includes('--test');
const isRoot = process.getuid?.() === 0;

/** Debian packages, how one sees that each is there, and what it is for. */
const packages = [
  { name: 'busybox-static', found: () => isStatic(findProgram('busybox')), for: 'the base image' },
  { name: 'iproute2', found: () => findProgram('ip'), for: 'links and addresses' },
  { name: 'nftables', found: () => findProgram('nft'), for: 'address translation' },
  { name: 'libseccomp2', found: () => findLibrary('libseccomp.so.2'), for: 'system call filters' },
  { name: 'procps', found: () => findProgram('ps'), for: 'docker top' },
  { name: 'uidmap', found: () => findProgram('newuidmap'), for: 'containers without root' },
];

main();

function main() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (process.platform !== 'linux')
    fail(`this machine runs ${process.platform}: the workshop needs Linux (see vagrant/)`);
  if (major < 20 || (major === 20 && minor < 16))
    fail(`Node ${process.versions.node} is too old: install Node 20.16 or newer`);
  const missing = packages.filter((p) => !p.found());
  if (missing.length > 0) installPackages(missing);
  // Without root too, where the folder is one's own: its packages should not belong to root.
  if (!npmPackagesAreCurrent() && (isRoot || isWritable(root))) installNpmPackages();
  if (!isRoot)
    fail(
      `not root: the engine and its tests make real system calls. Type: sudo npm ${forTests ? 'test' : 'start'}`,
    );
}

function installPackages(missing) {
  const names = missing.map((p) => p.name);
  const command = `apt-get install -y ${names.join(' ')}`;
  if (!findProgram('apt-get'))
    fail(`missing: ${names.join(', ')} (Debian's names). Install them with your package manager`);
  if (!isRoot) fail(`missing: ${names.join(', ')}. Type: sudo ${command}`);
  for (const { name, for: use } of missing) console.log(`installing ${name}, for ${use}`);
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', ...args], { stdio: ['ignore', 'ignore', 'inherit'], env: environment });
  apt('update'); // where it fails, the lists that are there may still do
  apt('install', '-y', '--no-install-recommends', ...names);
  const still = missing.filter((p) => !p.found());
  if (still.length > 0) fail(`could not install ${still.map((p) => p.name).join(', ')}. Type: ${command}`);
}

/** `npm ci` notes the lock file that it installed from; it is run again when that changes. */
function npmPackagesAreCurrent() {
  const note = join(root, 'node_modules', '.workshop-lock');
  return (
    existsSync(note) && readFileSync(note, 'utf8') === readFileSync(join(root, 'package-lock.json'), 'utf8')
  );
}

function installNpmPackages() {
  console.log('installing npm packages (npm ci)');
  const npm = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  if (npm.status !== 0) fail('npm ci failed. Type: npm ci');
  writeFileSync(join(root, 'node_modules', '.workshop-lock'), readFileSync(join(root, 'package-lock.json')));
}

function isWritable(folder) {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function findProgram(name) {
  const directories = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  return directories
    .map((directory) => join(directory || '.', name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return statSync(path).isFile();
      } catch {
        return false;
      }
    });
}

/** Whether a program needs no library of the machine: an ELF file that names no interpreter. */
function isStatic(path) {
  if (!path) return false;
  const elf = readFileSync(path);
  if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2) return false;
  const [offset, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  const PT_INTERP = 3;
  return !Array.from({ length: count }, (_, i) => elf.readUInt32LE(offset + i * size)).includes(PT_INTERP);
}

function findLibrary(name) {
  const triplet = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch] ?? '';
  return [`/usr/lib/${triplet}`, `/lib/${triplet}`, '/usr/lib64', '/usr/lib'].some((d) =>
    existsSync(join(d, name)),
  );
}

function fail(why) {
  console.error(`set-up: ${why}`);
  process.exit(1);
}
