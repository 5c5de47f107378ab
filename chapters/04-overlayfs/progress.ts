/** One line of what `docker pull` and `docker push` show: about one layer (`id`), or about the whole. */
export interface Progress {
  /** The first twelve digits of a digest, or what the line is about. */
  id?: string;
  status: string;
  /** bytes, of a part that is under way */
  current?: number;
  total?: number;
}

export type Report = (progress: Progress) => void;

/** What names a layer in progress lines. */
export const shortDigest = (digest: string): string => digest.replace(/^sha256:/, '').slice(0, 12);

/** Passes on what happens often, at most ten times a second, and each change of the status at once. */
export function seldom(report: Report): Report {
  const last = new Map<string, { status: string; time: number }>();
  return (progress) => {
    const { id = '', status, current, total } = progress;
    const before = last.get(id);
    const now = Date.now();
    if (before?.status === status && current !== total && now - before.time < 100) return;
    last.set(id, { status, time: now });
    report(progress);
  };
}
