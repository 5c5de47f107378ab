import { ApiError, conflict } from './api-error.ts';
import { attach } from './attach.ts';
import { filters, flag, integer, MULTIPLEXED_STREAM, RAW_STREAM, type Call } from './call.ts';
import type { CreateBody } from './container-config.ts';
import { tell } from './container-events.ts';
import { CONTAINER_FILTERS, filterContainers } from './container-filter.ts';
import { inspectView, listView } from './container-view.ts';
import { isRunning, type ContainerRecord } from './container.ts';
import { createContainer } from './create-container.ts';
import type { Daemon } from './daemon.ts';
import { findImage, type LocalImage } from './images.ts';
import { formatLine, logLines, parseMoment } from './logs.ts';
import { removeContainer } from './remove-container.ts';
import { compareVersions, type Route } from './router.ts';
import { startContainer } from './start-container.ts';
import { killContainer, stopContainer } from './stop-container.ts';
import { frame } from './stdcopy.ts';
import { waitForContainer } from './wait.ts';

/** The routes of a container's life. */
export const containerRoutes: readonly Route[] = [
  ['GET', '/containers/json', list],
  ['POST', '/containers/create', create],
  ['POST', '/containers/prune', prune],
  ['GET', '/containers/{name}/json', inspect],
  ['POST', '/containers/{name}/start', start],
  ['POST', '/containers/{name}/stop', stop],
  ['POST', '/containers/{name}/restart', restart],
  ['POST', '/containers/{name}/kill', kill],
  ['POST', '/containers/{name}/pause', pause],
  ['POST', '/containers/{name}/unpause', unpause],
  ['POST', '/containers/{name}/rename', rename],
  ['POST', '/containers/{name}/wait', wait],
  ['POST', '/containers/{name}/attach', attachTo],
  ['POST', '/containers/{name}/resize', resize],
  ['GET', '/containers/{name}/logs', logs],
  ['DELETE', '/containers/{name}', remove],
];

/** The container that the path names. @throws ApiError 404 */
export const named = ({ containers }: Daemon, { params }: Call): ContainerRecord =>
  containers.find(params['name']!);

async function list(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, CONTAINER_FILTERS);
  const limit = integer(call.query, 'limit') ?? 0;
  const all = flag(call.query, 'all') || limit > 0 || wanted.has('status') || wanted.has('exited');
  const records = daemon.containers
    .all()
    .filter((record) => all || isRunning(record))
    .sort((a, b) => (a.created < b.created ? 1 : -1));
  const found = filterContainers(records, wanted, daemon.containers.find);
  const shown = limit > 0 ? found.slice(0, limit) : found;
  const images = await daemon.images.all();
  const imageOf = (name: string): string | undefined => {
    try {
      return findImage(images, name).id;
    } catch {
      return undefined;
    }
  };
  call.json(
    200,
    await Promise.all(
      shown.map(async (record) => ({
        ...listView(daemon, record, imageOf),
        ...(flag(call.query, 'size') && (await sizes(daemon, record, images))),
      })),
    ),
  );
}

/** What the container has written, and that with its image. Bytes. */
async function sizes(daemon: Daemon, record: ContainerRecord, images: readonly LocalImage[]) {
  const { size } = await daemon.containerd.snapshots.usage({
    snapshotter: daemon.containerd.snapshotter,
    key: record.id,
  });
  const image = images.find(({ id }) => id === record.imageId);
  return { SizeRw: size, SizeRootFs: size + (image ? await daemon.images.size(image) : 0) };
}

async function create(daemon: Daemon, call: Call): Promise<void> {
  const body = await call.body<CreateBody>();
  const { id } = await createContainer(daemon, body, call.query.get('name') ?? undefined);
  call.json(201, { Id: id, Warnings: [] });
}

async function inspect(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const more = flag(call.query, 'size') ? await sizes(daemon, record, await daemon.images.all()) : {};
  call.json(200, { ...inspectView(daemon, record), ...more });
}

async function start(daemon: Daemon, call: Call): Promise<void> {
  await startContainer(daemon, named(daemon, call));
  call.empty(204);
}

async function stop(daemon: Daemon, call: Call): Promise<void> {
  await stopContainer(daemon, named(daemon, call), {
    seconds: integer(call.query, 't'),
    signal: call.query.get('signal') ?? undefined,
  });
  call.empty(204);
}

async function restart(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  try {
    await stopContainer(daemon, record, {
      seconds: integer(call.query, 't'),
      signal: call.query.get('signal') ?? undefined,
    });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 304)) throw error;
  }
  await startContainer(daemon, record);
  tell(daemon, record, 'restart');
  call.empty(204);
}

async function kill(daemon: Daemon, call: Call): Promise<void> {
  await killContainer(daemon, named(daemon, call), call.query.get('signal') ?? undefined);
  call.empty(204);
}

async function pause(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  if (!isRunning(record)) throw conflict(`container ${record.id} is not running`);
  if (record.state.status === 'paused') throw conflict(`container ${record.id} is already paused`);
  await daemon.containerd.tasks.pause({ containerId: record.id });
  record.state.status = 'paused';
  await daemon.containers.save(record);
  tell(daemon, record, 'pause');
  call.empty(204);
}

async function unpause(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  if (record.state.status !== 'paused') throw conflict(`container ${record.id} is not paused`);
  await daemon.containerd.tasks.resume({ containerId: record.id });
  record.state.status = 'running';
  await daemon.containers.save(record);
  tell(daemon, record, 'unpause');
  call.empty(204);
}

async function rename(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const name = (call.query.get('name') ?? '').replace(/^\//, '');
  if (name === '') throw new ApiError(400, 'Neither old nor new names may be empty');
  if (name === record.name)
    throw new ApiError(400, 'Renaming a container with the same name as its current name');
  const before = record.name;
  await daemon.containers.rename(record, name);
  tell(daemon, record, 'rename', { oldName: `/${before}` });
  call.empty(204);
}

async function wait(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const ended = waitForContainer(daemon, record, call.query.get('condition') ?? '');
  // At once: the client starts the container only when it knows that the wait has begun.
  const answer = call.stream(200, 'application/json');
  const { exitCode, error } = await ended;
  // Before 1.42 the field is always there.
  const reason = error
    ? { Error: { Message: error } }
    : compareVersions(call.version, '1.42') < 0
      ? { Error: null }
      : {};
  answer.end(`${JSON.stringify({ ...reason, StatusCode: exitCode })}\n`);
}

async function attachTo(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  if (record.state.status === 'paused')
    throw conflict(`container ${record.id} is paused, unpause the container before attach`);
  const multiplexed = !record.config.Tty && compareVersions(call.version, '1.42') >= 0;
  const options = {
    stdin: flag(call.query, 'stdin'),
    stdout: flag(call.query, 'stdout'),
    stderr: flag(call.query, 'stderr'),
    logs: flag(call.query, 'logs'),
  };
  await call.body();
  const client = call.hijack(multiplexed ? MULTIPLEXED_STREAM : RAW_STREAM);
  tell(daemon, record, 'attach');
  await attach(daemon, record, client, options);
}

async function resize(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const [height, width] = [integer(call.query, 'h') ?? 0, integer(call.query, 'w') ?? 0];
  if (!isRunning(record)) throw conflict(`container ${record.id} is not running`);
  await daemon.containerd.tasks.resizePty({ containerId: record.id, height, width });
  call.empty(200);
}

async function logs(daemon: Daemon, call: Call): Promise<void> {
  const record = named(daemon, call);
  const { query } = call;
  const [stdout, stderr] = [flag(query, 'stdout'), flag(query, 'stderr')];
  if (!stdout && !stderr) throw new ApiError(400, 'Bad parameters: you must choose at least one stream');
  const tail = query.get('tail') ?? 'all';
  const follow = flag(query, 'follow') && isRunning(record);
  const lines = logLines(daemon.containers.journal(record.id), {
    tail: /^\d+$/.test(tail) ? Number(tail) : undefined,
    since: parseMoment('since', query.get('since')),
    until: parseMoment('until', query.get('until')),
    stdout,
    stderr,
    follow: follow ? { over: daemon.runs.of(record).nextEnd() } : undefined,
    signal: call.gone,
  });
  const timestamps = flag(query, 'timestamps');
  const multiplexed = !record.config.Tty && compareVersions(call.version, '1.42') >= 0;
  const answer = call.stream(200, multiplexed ? MULTIPLEXED_STREAM : RAW_STREAM);
  for await (const line of lines) {
    const text = formatLine(line, timestamps);
    if (!answer.write(record.config.Tty ? text : frame(line.stream, text)))
      await new Promise<void>((resolve) => {
        answer.once('drain', resolve);
        call.gone.addEventListener('abort', () => resolve());
      });
  }
  answer.end();
}

async function remove(daemon: Daemon, call: Call): Promise<void> {
  await removeContainer(daemon, named(daemon, call), {
    force: flag(call.query, 'force'),
    volumes: flag(call.query, 'v'),
  });
  call.empty(204);
}

async function prune(daemon: Daemon, call: Call): Promise<void> {
  const wanted = filters(call.query, ['label', 'until']);
  const until = parseMoment('until', wanted.get('until')?.[0] ?? null);
  const records = filterContainers(daemon.containers.all(), wanted, daemon.containers.find).filter(
    (record) =>
      !isRunning(record) && (until === undefined || BigInt(Date.parse(record.created)) * 1_000_000n < until),
  );
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const record of records) {
    const { size } = await daemon.containerd.snapshots
      .usage({ snapshotter: daemon.containerd.snapshotter, key: record.id })
      .catch(() => ({ size: 0 }));
    await removeContainer(daemon, record, {});
    deleted.push(record.id);
    reclaimed += size;
  }
  call.json(200, { ContainersDeleted: deleted, SpaceReclaimed: reclaimed });
}
