import { part, print, type CliCommand } from './cli-command.ts';

export const diff: CliCommand = {
  name: 'diff',
  aliases: ['container diff'],
  usage: 'CONTAINER',
  summary: "Inspect changes to files or directories on a container's filesystem",
  operands: [1, 1],
  options: [],
  async run(api, [container]) {
    const changes = await api.json<{ Path: string; Kind: 0 | 1 | 2 }[] | null>(
      'GET',
      `/containers/${part(container!)}/changes`,
    );
    for (const { Path, Kind } of changes ?? []) print(`${'CAD'[Kind]} ${Path}`);
  },
};
