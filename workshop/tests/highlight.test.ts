import { expect, test, vi } from 'vitest';
import { highlight } from '../highlight.ts';

test('the colours are those of the words, however slow the machine is', () => {
  let now = 0;
  const clock = vi.spyOn(Date, 'now').mockImplementation(() => (now += 1000));
  try {
    const html = highlight("const open = f('(');\nreturn { a };", 'ts');
    const red = html.match(/light-dark\(#D73A49[^>]*>[^<]*/g)?.map((span) => span.replace(/.*>/, '').trim());
    expect(red).toEqual(['const', '=', 'return']);
  } finally {
    clock.mockRestore();
  }
});
