/**
 * A named part of a source file: from `//#region NAME` to `//#endregion`, or from `//#gap ID NAME` to `//#end`, found by the
 * region's name, the gap's id or its name. The common indentation is taken away; markers of other parts inside are left out.
 * @throws Error when there is no such part, or it never ends
 */
export function region(source: string, name: string, file: string): string {
  const lines = source.split('\n');
  const start = lines.findIndex((line) => {
    const marker = /^\s*\/\/#(?:region (.+)|gap (\S+) (.+))$/.exec(line);
    return [marker?.[1], marker?.[2], marker?.[3]].some((given) => given?.trim() === name);
  });
  if (start < 0) throw new Error(`${file} has no region "${name}"`);
  const end = /#gap/.test(lines[start]!) ? /^\s*\/\/#end\s*$/ : /^\s*\/\/#endregion/;
  const length = lines.slice(start + 1).findIndex((line) => end.test(line));
  if (length < 0) throw new Error(`${file}: region "${name}" has no end`);
  const inside = lines
    .slice(start + 1, start + 1 + length)
    .filter((line) => !/^\s*\/\/#(region|endregion|gap|end)\b/.test(line));
  const indents = inside.filter((line) => line.trim()).map((line) => /^ */.exec(line)![0].length);
  return inside.map((line) => line.slice(Math.min(...indents))).join('\n');
}
