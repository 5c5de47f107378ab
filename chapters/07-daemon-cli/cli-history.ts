import { imagePath, print, type CliCommand } from './cli-command.ts';
import { ago, decimalSize, ellipsis, goTime, shortId } from './cli-format.ts';
import { printList, type Column } from './cli-listing.ts';

interface HistoryFlags {
  format?: string;
  noHuman?: boolean;
  noTrunc?: boolean;
  quiet?: boolean;
}

export const history: CliCommand<HistoryFlags> = {
  name: 'history',
  aliases: ['image history'],
  usage: '[OPTIONS] IMAGE',
  summary: 'Show the history of an image',
  operands: [1, 1],
  options: [
    { flags: '--format <string>', help: "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
    { flags: '-H, --human', help: 'Print sizes and dates in human readable format (default true)' },
    { flags: '--no-human', help: 'The same as --human=false' },
    { flags: '--no-trunc', help: "Don't truncate output" },
    { flags: '-q, --quiet', help: 'Only show image IDs' },
  ],
  async run(api, [image], { format, noHuman = false, noTrunc = false, quiet }) {
    const steps = await api.json<Step[]>('GET', `${imagePath(image!)}/history`);
    if (quiet && (format ?? 'table') === 'table')
      steps.forEach(({ Id }) => print(noTrunc ? Id : shortId(Id)));
    else printList(steps, columns(!noHuman, noTrunc), shown(!noHuman), format);
  },
};

const shown = (human: boolean): string[] => [
  'ID',
  human ? 'CreatedSince' : 'CreatedAt',
  'CreatedBy',
  'Size',
  'Comment',
];

/** One step of an image's making, the last first. */
interface Step {
  /** `<missing>` for a step whose image is not here. */
  Id: string;
  /** seconds since 1970 */
  Created: number;
  CreatedBy: string;
  /** bytes */
  Size: number;
  Comment: string;
}

/** The longest command that is shown whole, in characters. */
const COMMAND_LENGTH = 45;

/** Source: docker/cli, cli/command/image/formatter_history.go. */
function columns(human: boolean, noTrunc: boolean): Column<Step>[] {
  const since = ({ Created }: Step): string => (Created > 0 ? ago(Created) : 'N/A');
  const command = ({ CreatedBy }: Step): string => CreatedBy.replaceAll('\t', ' ');
  return [
    { field: 'ID', heading: 'IMAGE', text: ({ Id }) => (noTrunc ? Id : shortId(Id)) },
    { field: 'CreatedAt', heading: 'CREATED AT', text: rfc3339 },
    { field: 'CreatedSince', heading: 'CREATED', text: human ? since : rfc3339 },
    {
      field: 'CreatedBy',
      heading: 'CREATED BY',
      text: (step) => (noTrunc ? command(step) : ellipsis(command(step), COMMAND_LENGTH)),
    },
    {
      field: 'Size',
      heading: 'SIZE',
      text: ({ Size }) => (human ? decimalSize(Size) : String(Size)),
    },
    { field: 'Comment', heading: 'COMMENT', text: ({ Comment }) => Comment },
  ];
}

/** `2026-11-21T05:55:29Z`, or with this machine's offset: `+01:00`. */
function rfc3339({ Created }: Step): string {
  const [day, time, offset] = goTime(Created).split(' ') as [string, string, string];
  return `${day}T${time}${offset === '+0000' ? 'Z' : `${offset.slice(0, 3)}:${offset.slice(3)}`}`;
}
