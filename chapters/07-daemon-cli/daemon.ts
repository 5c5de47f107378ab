import type { Capability } from '../01-processes/index.ts';
import type { Downloads } from '../04-overlayfs/index.ts';
import type { BridgeNetwork } from './bridge-network.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerStore } from './container-store.ts';
import type { DaemonOptions } from './daemon-options.ts';
import type { EventBus } from './event-bus.ts';
import type { ExecStore } from './exec-store.ts';
import type { Images } from './images.ts';
import type { Runs } from './runs.ts';
import type { EngineContainerd, StorageDriver } from './storage-driver.ts';
import type { VolumeStore } from './volume-store.ts';

/** The parts of a running daemon. Every route and every verb gets them; nothing of it is global. */
export interface Daemon {
  options: DaemonOptions;
  /** The engine's own id, which stays the same over restarts. */
  id: string;
  containerd: EngineContainerd;
  storageDriver: StorageDriver;
  /** What is known of containers, on disk. */
  containers: ContainerStore;
  /** What of containers is only in memory: who waits, who is attached. */
  runs: Runs;
  execs: ExecStore;
  images: Images;
  /** What is being pulled, so that nobody fetches it twice. */
  downloads: Downloads;
  volumes: VolumeStore;
  network: BridgeNetwork;
  events: EventBus;
  /** Asks containerd how a container is that should be running, and puts it in order if it is not. */
  look(record: ContainerRecord): void;
  machine: {
    /** 2 where the machine has the one tree of cgroup v2 alone. */
    cgroupVersion: 1 | 2;
    /** What root of this machine has, and a container can be given. */
    capabilities: readonly Capability[];
  };
}
