import { expect, test } from 'vitest';
import { goJson, parseTemplate } from '../cli-template.ts';

const container = {
  Name: '/web',
  State: { Running: true, Pid: 42, Error: '' },
  Config: { Cmd: ['sh', '-c', 'x'], Labels: { b: '2', a: '1' }, Env: null },
  Mounts: [{ Source: '/a' }, { Source: '/b' }],
  Ports: { '80/tcp': [{ HostPort: '8080' }] },
};
const fill = (text: string): string => parseTemplate(text)(container);

test('a field is printed as Go prints it', () => {
  expect(fill('{{.Name}} {{.State.Running}} {{.State.Pid}}')).toBe('/web true 42');
  expect(fill('{{.Config.Cmd}} {{.Config.Labels}} {{.Config.Env}}')).toBe('[sh -c x] map[a:1 b:2] []');
});

test('range, if, else, with and variables', () => {
  expect(fill('{{range .Mounts}}{{.Source}};{{end}}')).toBe('/a;/b;');
  expect(fill('{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}')).toBe('a=1 b=2 ');
  expect(fill('{{if .State.Error}}bad{{else if .State.Running}}up{{else}}down{{end}}')).toBe('up');
  expect(fill('{{with .State}}{{.Pid}} of {{$.Name}}{{end}}')).toBe('42 of /web');
  expect(fill('{{range .Config.Env}}x{{else}}none{{end}}')).toBe('none');
});

test('functions, pipes and parentheses', () => {
  expect(fill('{{json .State}}')).toBe('{"Running":true,"Pid":42,"Error":""}');
  expect(fill('{{.Name | upper | json}}')).toBe('"/WEB"');
  expect(fill('{{(index (index .Ports "80/tcp") 0).HostPort}}')).toBe('8080');
  expect(fill('{{join .Config.Cmd ","}} {{len .Mounts}} {{index .Config.Labels "a"}}')).toBe('sh,-c,x 2 1');
  expect(fill('{{printf "%s-%d %5s|" .Name .State.Pid "x"}}')).toBe('/web-42     x|');
  expect(fill('{{if eq .Name "/web"}}yes{{end}}')).toBe('yes');
});

test('a minus takes white space away', () => {
  expect(fill('a {{- .State.Pid -}} b')).toBe('a42b');
});

test('JSON is written as Go writes it, safe to put into HTML', () => {
  expect(goJson({ a: '<b>&' })).toBe('{"a":"\\u003cb\\u003e\\u0026"}');
});

test('what is no template, and a field that is not there, are errors that say so', () => {
  expect(() => parseTemplate('{{.Name')).toThrow('template parsing error: template: unclosed action');
  expect(() => parseTemplate('{{range .X}}')).toThrow('unexpected EOF');
  expect(() => fill('{{.State.Nothing}}')).toThrow(
    'executing "" at <.State.Nothing>: no field "Nothing" here',
  );
  expect(() => fill('{{foo .Name}}')).toThrow('function "foo" not defined');
});
