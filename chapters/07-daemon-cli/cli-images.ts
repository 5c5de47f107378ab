import { print, type CliCommand } from './cli-command.ts';
import { ago, decimalSize, goTime, shortId } from './cli-format.ts';
import { filtersQuery, parseFilter, printList, type Column } from './cli-listing.ts';

interface ImagesFlags {
  all?: boolean;
  digests?: boolean;
  filter?: [string, string][];
  format?: string;
  noTrunc?: boolean;
  quiet?: boolean;
}

export const images: CliCommand<ImagesFlags> = {
  name: 'images',
  aliases: ['image ls', 'image list'],
  usage: '[OPTIONS] [REPOSITORY[:TAG]]',
  summary: 'List images',
  operands: [0, 1],
  options: [
    { flags: '-a, --all', help: 'Show all images (default hides intermediate images)' },
    { flags: '--digests', help: 'Show digests' },
    {
      flags: '-f, --filter <filter>',
      help: 'Filter output based on conditions provided',
      parse: parseFilter,
      list: true,
    },
    { flags: '--format <string>', help: "Format output: 'table', 'table TEMPLATE', 'json' or a Go template" },
    { flags: '--no-trunc', help: "Don't truncate output" },
    { flags: '-q, --quiet', help: 'Only show image IDs' },
  ],
  async run(api, [reference], { all, digests, filter = [], format, noTrunc = false, quiet }) {
    const filters = filtersQuery(reference ? [...filter, ['reference', reference]] : filter);
    const found = await api.json<FoundImage[]>('GET', '/images/json', { query: { all, filters } });
    const rows = found.flatMap(namesOf);
    if (quiet && !format) rows.forEach(({ image }) => print(noTrunc ? image.Id : shortId(image.Id)));
    else
      printList(
        rows,
        columns(noTrunc, digests || format?.includes('.Digest')),
        digests ? SHOWN_WITH_DIGESTS : SHOWN,
        format,
      );
  },
};

const SHOWN = ['Repository', 'Tag', 'ID', 'CreatedSince', 'Size'];
const SHOWN_WITH_DIGESTS = ['Repository', 'Tag', 'Digest', 'ID', 'CreatedSince', 'Size'];

interface FoundImage {
  Id: string;
  RepoTags: string[] | null;
  RepoDigests: string[] | null;
  /** seconds since 1970 */
  Created: number;
  /** bytes */
  Size: number;
  /** how many containers are made of it; -1: not counted */
  Containers?: number;
}

interface NamedImage {
  image: FoundImage;
  repository: string;
  tag: string;
  digest: string;
}

/** A row for each name that an image has; one without any is shown too. */
function namesOf(image: FoundImage): NamedImage[] {
  const tags = (image.RepoTags ?? []).filter((name) => name !== '<none>:<none>');
  const digests = new Map(
    (image.RepoDigests ?? [])
      .map((name) => name.split('@') as [string, string])
      .filter(([repository]) => repository !== '<none>'),
  );
  if (!tags.length) {
    const [repository = '<none>', digest = '<none>'] = [...digests][0] ?? [];
    return [{ image, repository, tag: '<none>', digest }];
  }
  return tags.map((name) => {
    // The last colon: one before it may belong to the registry's port.
    const at = name.lastIndexOf(':');
    const repository = name.slice(0, at);
    return { image, repository, tag: name.slice(at + 1), digest: digests.get(repository) ?? '<none>' };
  });
}

/** Digests are shown only where they are asked for, as Docker does. */
function columns(noTrunc: boolean, digests = false): Column<NamedImage>[] {
  return [
    { field: 'Repository', heading: 'REPOSITORY', text: ({ repository }) => repository },
    { field: 'Tag', heading: 'TAG', text: ({ tag }) => tag },
    { field: 'Digest', heading: 'DIGEST', text: ({ digest }) => (digests ? digest : '<none>') },
    { field: 'ID', heading: 'IMAGE ID', text: ({ image }) => (noTrunc ? image.Id : shortId(image.Id)) },
    {
      field: 'CreatedAt',
      heading: 'CREATED AT',
      text: ({ image }) => (image.Created > 0 ? goTime(image.Created) : 'N/A'),
    },
    {
      field: 'CreatedSince',
      heading: 'CREATED',
      text: ({ image }) => (image.Created > 0 ? ago(image.Created) : 'N/A'),
    },
    { field: 'Size', heading: 'SIZE', text: ({ image }) => decimalSize(image.Size) },
    { field: 'VirtualSize', heading: 'VIRTUAL SIZE', text: ({ image }) => decimalSize(image.Size, 4) },
    { field: 'SharedSize', heading: 'SHARED SIZE', text: () => 'N/A' },
    { field: 'UniqueSize', heading: 'UNIQUE SIZE', text: () => 'N/A' },
    {
      field: 'Containers',
      heading: 'CONTAINERS',
      text: ({ image: { Containers = -1 } }) => (Containers < 0 ? 'N/A' : String(Containers)),
    },
  ];
}
