/**
 * Runs `run` for each of `work`, at most `jobs` at once, each in its turn.
 * @throws what the first that failed threw, once all that had begun are over; nothing more is begun then
 */
export async function atOnce<T>(
  work: readonly T[],
  jobs: number,
  run: (one: T, worker: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async (_: unknown, number: number): Promise<void> => {
    while (next < work.length && !failed)
      await run(work[next++]!, number).catch((error: unknown) => {
        failed = true;
        throw error;
      });
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(jobs, work.length) }, worker));
  const bad = ends.find((end) => end.status === 'rejected');
  if (bad) throw bad.reason as Error;
}
