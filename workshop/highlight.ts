import { createHighlighterCoreSync } from 'shiki/core';
import { createOnigurumaEngine } from 'shiki/engine/oniguruma';
import c from 'shiki/langs/c.mjs';
import json from 'shiki/langs/json.mjs';
import bash from 'shiki/langs/shellscript.mjs';
import typescript from 'shiki/langs/typescript.mjs';
import dark from 'shiki/themes/github-dark.mjs';
import light from 'shiki/themes/github-light.mjs';

// The grammars are written for Oniguruma: translated to JavaScript's own expressions, some of TypeScript's never end.
const highlighter = createHighlighterCoreSync({
  langs: [c, json, bash, typescript],
  themes: [light, dark],
  engine: await createOnigurumaEngine(import('shiki/wasm')),
});
const done = new Map<string, string>();

/**
 * Code as a `<pre>` with its colours for light and dark pages, made here and not in the reader's browser. Each text is done once: a
 * page is served again in a few milliseconds. A language that is not known is shown plain.
 */
export function highlight(code: string, language = 'text'): string {
  const key = `${language}\0${code}`;
  const known = done.get(key);
  if (known !== undefined) return known;
  const lang = highlighter.getLoadedLanguages().includes(language) ? language : 'text';
  const html = highlighter.codeToHtml(code, {
    lang,
    themes: { light: 'github-light', dark: 'github-dark' },
    defaultColor: 'light-dark()',
    // On a busy machine half a second may pass with a line, which then has one colour; and the lines below it wrong ones.
    tokenizeTimeLimit: 0,
    transformers: [
      {
        pre: (node) => void (node.properties = { class: `code language-${language}`, tabindex: '0' }),
        line: (node) => void delete node.properties['class'],
      },
    ],
  });
  done.set(key, html);
  return html;
}
