import { expect, test } from 'vitest';
import { binarySize, decimalSize, ellipsis, humanDuration, table } from '../cli-format.ts';
import { apiTime } from '../api-time.ts';
import { describePorts } from '../cli-ps.ts';

test('columns are ten wide at least, three blanks apart, and the last is as long as it is', () => {
  expect(
    table([
      ['NAMES', 'IMAGE', 'STATUS'],
      ['a-long-name', 'x', 'Up'],
    ]),
  ).toEqual(['NAMES         IMAGE     STATUS', 'a-long-name   x         Up']);
});

test('sizes have three digits in decimal units, four in binary ones', () => {
  expect([0, 999, 1000, 1_984_000, 123_456_789].map((n) => decimalSize(n))).toEqual([
    '0B',
    '999B',
    '1kB',
    '1.98MB',
    '123MB',
  ]);
  expect([0, 1023, 1536, 25_275_904_000].map(binarySize)).toEqual(['0B', '1023B', '1.5KiB', '23.54GiB']);
});

test('durations are said as Docker says them', () => {
  const s = 1000;
  const said = [
    0.4 * s,
    s,
    59 * s,
    60 * s,
    125 * s,
    3600 * s,
    40 * 3600 * s,
    72 * 3600 * s,
    30 * 86400 * s,
    90 * 86400 * s,
    800 * 86400 * s,
  ];
  expect(said.map(humanDuration)).toEqual([
    'Less than a second', '1 second', '59 seconds', 'About a minute', '2 minutes', 'About an hour', '40 hours', '3 days', '4 weeks', '3 months', '2 years',
  ]); // prettier-ignore
});

test('a long command ends in an ellipsis', () => {
  expect(ellipsis('sh -c "while :; do date; done"', 20)).toBe('sh -c "while :; do …');
});

test('ports that go to the same ones of the host become a range', () => {
  const port = (PrivatePort: number, PublicPort?: number, IP?: string, Type = 'tcp') => ({
    PrivatePort,
    Type,
    ...(PublicPort && { PublicPort }),
    ...(IP && { IP }),
  });
  expect(describePorts([port(80, 8080, '0.0.0.0'), port(99)])).toBe('99/tcp, 0.0.0.0:8080->80/tcp');
  expect(describePorts([port(90, 90, '::'), port(91, 91, '::'), port(7), port(8)])).toBe(
    '7-8/tcp, [::]:90-91->90-91/tcp',
  );
});

test('times for logs are seconds and nanoseconds, from a time or from how long ago', () => {
  const now = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  expect(apiTime('2026-01-02T03:04:05.123456789Z', now)).toBe(
    `${Date.UTC(2026, 0, 2, 3, 4, 5) / 1000}.123456789`,
  );
  expect(apiTime('1m30s', now)).toBe(`${Date.UTC(2026, 0, 2, 3, 2, 35) / 1000}.678000000`);
  expect(apiTime('1234.5', now)).toBe('1234.5');
  expect(() => apiTime('foo', now)).toThrow('failed to parse value as time or duration: "foo"');
});
