import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectContainerd, type ContainerdClient } from '../client.ts';

/** A containerd that nobody here wrote, on places of its own, and a client of it. */
export interface StockContainerd {
  address: string;
  client: ContainerdClient;
  stop(): Promise<void>;
}

/** Starts Debian's containerd without its Kubernetes part. Its folder goes with it. */
export async function startStockContainerd(namespace: string): Promise<StockContainerd> {
  const directory = mkdtempSync('/tmp/06c-stock-');
  const address = join(directory, 'containerd.sock');
  const config = join(directory, 'config.toml');
  writeFileSync(
    config,
    `version = 2
root = "${directory}/root"
state = "${directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "${address}"
[ttrpc]
  address = "${address}.ttrpc"
`,
  );
  const server = spawn('containerd', ['--config', config], { stdio: 'ignore' });
  const client = connectContainerd(address, namespace);
  const stop = async (): Promise<void> => {
    client.close();
    await end(server);
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await client.ready(60_000);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address, client, stop };
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.on('exit', () => resolve());
    if (!child.kill('SIGTERM')) resolve();
  });
}
