import { describe, expect, it } from 'vitest';
import { fieldsOf, parseFilters } from '../filters.ts';

const thing = {
  id: 'web-1',
  topic: '/tasks/exit',
  runtime: { name: 'io.containerd.runc.v2' },
  labels: { app: 'web', 'example.com/a.b': 'x y' },
  empty: '',
};
const matches = (...filters: string[]): boolean => parseFilters(filters)(fieldsOf(thing));

describe('filters of lists and events', () => {
  it('let everything through when there are none', () => {
    expect(matches()).toBe(true);
  });

  it.each([
    ['id==web-1', true],
    ['id==web-2', false],
    ['id!=web-2', true],
    ['id~=^web', true],
    ['id~="^(db|web)-[0-9]$"', true],
    ['id~=/^web/', true],
    ['topic==/tasks/exit', true],
    ['topic~="^/tasks/"', true],
    ['topic~=/tasks/,id==web-2', false],
    ['runtime.name==io.containerd.runc.v2', true],
    ['labels.app', true],
    ['labels.none', false],
    ['labels."example.com/a.b"=="x y"', true],
    ['id == web-1 , labels.app == web', true],
    ['empty', false],
    ['none!=x', true],
    ['constructor', false],
  ])('%s is %s', (filter, expected) => {
    expect(matches(filter)).toBe(expected);
  });

  it('need one of several filters, and all conditions of that one', () => {
    expect(matches('id==other', 'labels.app==web')).toBe(true);
    expect(matches('id==other', 'labels.app==web,id==other')).toBe(false);
  });

  it.each(['id==', '==x', 'id=x', 'id~="["', 'id=="open', ',', 'a b'])(
    'refuse %s, saying where',
    (filter) => {
      expect(() => matches(filter)).toThrow(JSON.stringify(filter).slice(1, -1));
    },
  );
});
