import {
  CONFIG_CHANGES,
  parseDockerfile,
  StoreError,
  type ContainerDefaults,
} from '../04-overlayfs/index.ts';
import { badParameter } from './api-error.ts';

/**
 * A configuration after the instructions that `docker commit --change` and `docker import --change` take: those of a Dockerfile that
 * change no file.
 * @throws ApiError 400
 */
export function changedConfig(config: ContainerDefaults, changes: readonly string[]): ContainerDefaults {
  const given = changes.filter((change) => change.trim() !== '');
  if (given.length === 0) return config;
  for (const change of given) {
    const [word = ''] = change.trim().split(/\s+/);
    // SHELL is for the steps of a build: a container has no use for it.
    if (!CONFIG_CHANGES[word.toUpperCase()] || word.toUpperCase() === 'SHELL')
      throw badParameter(`${word.toLowerCase()} is not a valid change command`);
  }
  try {
    const { stages, escape } = parseDockerfile(`FROM scratch\n${given.join('\n')}`);
    return stages
      .flatMap(({ instructions }) => instructions)
      .reduce(
        (now, instruction) => CONFIG_CHANGES[instruction.name]!(now, instruction, new Map(), escape),
        config,
      );
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    // There is no file whose lines one could count.
    throw badParameter(error.message.replace(/^dockerfile parse error on line \d+: /, ''), error);
  }
}
