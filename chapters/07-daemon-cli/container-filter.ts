import { badParameter } from './api-error.ts';
import type { ContainerRecord } from './container.ts';

/** What `docker ps --filter` can ask for here. */
export const CONTAINER_FILTERS = [
  'id',
  'name',
  'label',
  'status',
  'exited',
  'ancestor',
  'before',
  'since',
  'network',
  'volume',
];

type Test = (record: ContainerRecord, value: string) => boolean;

/** Every filter is one test; several values of one filter are alternatives, several filters must all hold. */
const TESTS: Record<string, Test> = {
  id: (record, value) => record.id.startsWith(value),
  // Docker takes a regular expression.
  name: (record, value) => pattern(value).test(record.name) || pattern(value).test(`/${record.name}`),
  status: (record, value) => record.state.status === value,
  exited: (record, value) => record.state.status === 'exited' && String(record.state.exitCode) === value,
  ancestor: (record, value) =>
    [record.imageName, record.imageName.replace(/:latest$/, ''), record.imageId].includes(value) ||
    record.imageName === `${value}:latest` ||
    record.imageId.replace('sha256:', '').startsWith(value),
  network: (record, value) => record.hostConfig.NetworkMode === value,
  volume: (record, value) =>
    record.mounts.some(({ name, destination }) => name === value || destination === value),
};

/** The containers for which all filters hold. @throws ApiError 400 for a status that does not exist, 404 for `before` none */
export function filterContainers(
  records: readonly ContainerRecord[],
  filters: ReadonlyMap<string, string[]>,
  find: (reference: string) => ContainerRecord,
): ContainerRecord[] {
  const states = ['created', 'running', 'paused', 'restarting', 'removing', 'exited', 'dead'];
  const strange = filters.get('status')?.find((status) => !states.includes(status));
  if (strange !== undefined) throw badParameter(`invalid filter 'status=${strange}'`);
  const [before] = (filters.get('before') ?? []).map((name) => find(name).created);
  const [since] = (filters.get('since') ?? []).map((name) => find(name).created);
  return records.filter(
    (record) =>
      Object.entries(TESTS).every(([name, test]) => {
        const values = filters.get(name);
        return !values || values.some((value) => test(record, value));
      }) &&
      // Labels must all be there.
      (filters.get('label') ?? []).every((label) => hasLabel(record.config.Labels, label)) &&
      (before === undefined || record.created < before) &&
      (since === undefined || record.created > since),
  );
}

/** `key`, or `key=value`. */
export function hasLabel(labels: Readonly<Record<string, string>>, wanted: string): boolean {
  const at = wanted.indexOf('=');
  return at === -1 ? Object.hasOwn(labels, wanted) : labels[wanted.slice(0, at)] === wanted.slice(at + 1);
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch {
    throw badParameter(`invalid filter 'name=${text}': it is no regular expression`);
  }
}
