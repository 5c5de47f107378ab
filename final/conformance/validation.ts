import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseTap } from './bats.ts';
import { inSandbox, must } from './sandbox.ts';
import type { Case } from './table.ts';

/** The validation programs of runtime-tools, built. */
export interface ValidationSuite {
  checkout: string;
  programs: string[];
}

/** Builds what is not built yet: `runtimetest`, which looks about inside, and a program a test. @throws Error with the compiler's words */
export function prepareRuntimeTools(checkout: string, work: string): ValidationSuite {
  const { cwd, env } = goPlace(checkout, work);
  const static_ = ['-tags', 'netgo osusergo', '-ldflags', '-extldflags -static'];
  if (!existsSync(join(checkout, 'runtimetest')))
    must('go', ['build', ...static_, '-o', 'runtimetest', './cmd/runtimetest'], { cwd, env });
  const programs = readdirSync(join(checkout, 'validation')).filter((name) =>
    existsSync(join(checkout, 'validation', name, `${name}.go`)),
  );
  for (const name of programs)
    if (!existsSync(join(checkout, 'validation', name, `${name}.t`)))
      must('go', ['build', '-o', `validation/${name}/${name}.t`, `./validation/${name}`], { cwd, env });
  return { checkout, programs: programs.sort() };
}

/** Versions before Go's modules want to lie where their import path says. */
function goPlace(checkout: string, work: string): { cwd: string; env: NodeJS.ProcessEnv } {
  if (existsSync(join(checkout, 'go.mod')))
    return { cwd: checkout, env: { ...process.env, GOFLAGS: '-mod=vendor' } };
  const cwd = join(work, 'go/src/github.com/opencontainers/runtime-tools');
  mkdirSync(dirname(cwd), { recursive: true });
  symlinkSync(checkout, cwd);
  return {
    cwd,
    env: { ...process.env, PWD: cwd, GOPATH: join(work, 'go'), GO111MODULE: 'off', GOFLAGS: '' },
  };
}

/** Runs one program with a runtime: passed when each of its claims held. */
export function runValidation(
  { checkout }: ValidationSuite,
  name: string,
  runtime: string,
  limit: number,
): Case {
  const { status, output } = inSandbox([`./validation/${name}/${name}.t`], {
    cwd: checkout,
    env: { PATH: process.env['PATH'], HOME: '/root', RUNTIME: runtime },
    limit,
  });
  const claims = parseTap(output.replace(/^(\s*(?:not )?ok \d+) - /gm, '$1 '));
  const failed = claims.filter(({ verdict }) => verdict === 'failed');
  const note = `${claims.length - failed.length} of ${claims.length} claims${failed.map((each) => `; not: ${each.name}`).join('')}`;
  if (status === null) return { name, verdict: 'none', note: 'time limit' };
  if (claims.length > 0 && claims.every(({ verdict }) => verdict === 'skipped'))
    return { name, verdict: 'skipped', note: claims[0]!.note };
  return {
    name,
    verdict: status === 0 && claims.length > 0 && failed.length === 0 ? 'passed' : 'failed',
    note,
  };
}
