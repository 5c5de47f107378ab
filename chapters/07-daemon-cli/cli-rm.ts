import { DaemonError } from './api-client.ts';
import { eachName, part, warn, type CliCommand } from './cli-command.ts';

interface RmFlags {
  force?: boolean;
  volumes?: boolean;
}

export const rm: CliCommand<RmFlags> = {
  name: 'rm',
  aliases: ['container rm', 'container remove'],
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  summary: 'Remove one or more containers',
  operands: [1, Infinity],
  options: [
    { flags: '-f, --force', help: 'Force the removal of a running container (uses SIGKILL)' },
    { flags: '-v, --volumes', help: 'Remove anonymous volumes associated with the container' },
  ],
  async run(api, names, { force, volumes }) {
    return await eachName(names, async (name) => {
      try {
        await api.json('DELETE', `/containers/${part(name)}`, { query: { force, v: volumes } });
        return name;
      } catch (error) {
        if (!(force && error instanceof DaemonError && error.status === 404)) throw error;
        // `rm -f` of what is not there has reached its aim: said, and no failure.
        warn(error.message);
        return null;
      }
    });
  },
};
