import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Step } from './machine.ts';

/** What a step came to. */
export interface Outcome {
  step: string;
  passed: number;
  /** How long it took, as far as it came to its end. */
  seconds?: number;
  /** Why it failed, a line each; empty when it passed. */
  failures: string[];
}

/** The parts of vitest's JSON report that are looked at. */
interface VitestReport {
  numTotalTests: number;
  numPassedTests: number;
  testResults: {
    name: string;
    message: string;
    assertionResults: { fullName: string; status: string }[];
  }[];
}

/**
 * Judges a step by what it left in `folder`: NAME.status, its exit status and its seconds, and NAME.json, vitest's report. What is missing has
 * failed.
 */
export function judge(step: Step, folder: string): Outcome {
  const read = (ending: string): string | undefined => {
    const path = join(folder, `${step.name}.${ending}`);
    return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  };
  const [status, seconds] = read('status')?.trim().split(' ') ?? [];
  const failures = status === undefined ? ['it did not run to its end'] : [];
  if (status !== undefined && status !== '0') failures.push(`it ended with status ${status}`);
  const outcome = { step: step.name, ...(seconds !== undefined && { seconds: Number(seconds) }) };
  if (!step.vitest) return { ...outcome, passed: failures.length === 0 ? 1 : 0, failures };
  const report = read('json');
  if (report === undefined) return { ...outcome, passed: 0, failures: [...failures, 'no report'] };
  const { passed, failures: found } = judgeVitest(JSON.parse(report) as VitestReport);
  return { ...outcome, passed, failures: [...failures, ...found] };
}

/** What failed in a run of vitest: also a file without tests, a test that was skipped, a run in which there was none. */
function judgeVitest({ numTotalTests, numPassedTests, testResults }: VitestReport): {
  passed: number;
  failures: string[];
} {
  const failures = testResults.flatMap(({ name, message, assertionResults }) => {
    const file = name.replace('/workshop/', '');
    if (assertionResults.length === 0)
      return [`${file}: no test ran${message && `: ${message.split('\n')[0]}`}`];
    return assertionResults
      .filter(({ status }) => status !== 'passed')
      .map(({ fullName, status }) => `${file}: ${status}: ${fullName}`);
  });
  if (numTotalTests === 0) failures.push('no test ran');
  return { passed: numPassedTests, failures };
}
