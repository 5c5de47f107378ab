import { messageFromJson, messageToJson } from './api.ts';
import type { Container } from './api-containers.ts';
import type { ContainerRecord } from './namespaces.ts';

const TYPE = 'containerd.services.containers.v1.Container';

/** A container as it is written to disk. */
export const recordOf = (container: Container): ContainerRecord =>
  messageToJson(TYPE, container) as ContainerRecord;

/** A container as it was read from disk. */
export const messageOf = (record: ContainerRecord): Container => messageFromJson(TYPE, record) as Container;
