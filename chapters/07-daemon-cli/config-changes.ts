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
  try {
    const { stages, escape } = parseDockerfile(`FROM scratch\n${given.join('\n')}`);
    return stages
      .flatMap(({ instructions }) => instructions)
      .reduce((now, instruction) => {
        const change = CONFIG_CHANGES[instruction.name];
        if (!change) throw badParameter(`${instruction.name} is not a valid change command`);
        return change(now, instruction, new Map(), escape);
      }, config);
  } catch (error) {
    throw error instanceof StoreError ? badParameter(error.message, error) : error;
  }
}
