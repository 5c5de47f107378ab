import { sayingOf, type Summary } from './grade-summary.ts';
import type { Grades, Mark } from './grade.ts';

/** One page that needs nothing else: the grid of learners by gaps, what each verdict says, points, and the most failed gap. */
export function gradesPage(grades: Grades, summary: Summary): string {
  const points = summary.most !== undefined;
  const chapters = [...new Set(grades.gaps.map(({ chapter }) => chapter))];
  const head = chapters
    .map(
      (chapter) =>
        `<th colspan="${grades.gaps.filter((gap) => gap.chapter === chapter).length}">${html(chapter)}</th>`,
    )
    .join('');
  const ids = grades.gaps.map(({ id, name }) => `<th title="${html(name)}">${id}</th>`).join('');
  const rows = grades.learners.map(({ name, marks }, i) => {
    const { passed, points: reached } = summary.learners[i]!;
    const total = `<td class="n">${passed}</td>${points ? `<td class="n">${reached}</td>` : ''}`;
    return `<tr><th scope="row"><a href="#l${i}">${html(name)}</a></th>${total}${marks.map((mark) => cell(mark, i)).join('')}</tr>`;
  });
  const counts = summary.gaps.map(({ passed }) => `<td class="n">${passed}</td>`).join('');
  const details = grades.learners.map(({ name, marks }, i) => {
    const said = marks
      .filter(({ verdict }) => sayingOf(verdict))
      .map(
        ({ gap, verdict }) =>
          `<dt id="l${i}-${gap}"><b>${gap}</b> ${verdict.verdict}</dt><dd>${html(sayingOf(verdict))}</dd>`,
      );
    return `<details id="l${i}"${said.length > 0 ? '' : ' class="quiet"'}><summary>${html(name)}</summary><dl>${said.join('') || '<dd>Nothing went wrong.</dd>'}</dl></details>`;
  });
  const worst = summary.mostFailed;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>Grades of the workshop</title>
<style>${STYLE}</style>
<main>
<h1>Grades</h1>
<p>${grades.learners.length} learners, ${grades.gaps.length} gaps${points ? `, ${summary.most} points at most` : ''}; seed ${grades.seed}.
${worst ? `Most failed: <b>${worst.id} ${html(worst.name)}</b>, by ${worst.failed}.` : 'Nobody failed what they tried.'}</p>
<p class="key"><i class="passed">✓</i> passed <i class="wrong">✗</i> wrong <i class="error">!</i> error <i class="not-started">·</i> not started <i class="cannot-check">?</i> cannot check</p>
<div class="grid"><table>
<thead><tr><th rowspan="2">learner</th><th rowspan="2">passed</th>${points ? '<th rowspan="2">points</th>' : ''}${head}</tr><tr>${ids}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
<tfoot><tr><th scope="row">passed by</th><td></td>${points ? '<td></td>' : ''}${counts}</tr></tfoot>
</table></div>
<h2>What was said</h2>
${details.join('\n')}
</main>
<script>const show = () => { const at = location.hash && document.getElementById(location.hash.slice(1)); const box = at && at.closest('details'); if (box) { box.open = true; at.scrollIntoView(); } }; addEventListener('hashchange', show); show();</script>
</html>
`;
}

const SIGNS = { passed: '✓', wrong: '✗', error: '!', 'not started': '·', 'cannot check': '?' } as const;

function cell({ gap, verdict }: Mark, learner: number): string {
  const saying = sayingOf(verdict);
  const title = `${gap} ${verdict.verdict}${saying ? `: ${saying.slice(0, 300)}` : ''}`;
  const sign = SIGNS[verdict.verdict];
  const inner = saying ? `<a href="#l${learner}-${gap}">${sign}</a>` : sign;
  return `<td class="${verdict.verdict.replace(' ', '-')}" title="${html(title)}">${inner}</td>`;
}

const html = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

const STYLE = `
:root { color-scheme: light dark; --ground: #fff; --ink: #1b1f24; --line: #d0d7de; --good: #d8f5df; --bad: #ffdcd9; --err: #f3defa; --idle: #f2f4f6; --odd: #fff1c9 }
@media (prefers-color-scheme: dark) { :root { --ground: #14181d; --ink: #dde3ea; --line: #343c46; --good: #123d22; --bad: #5a1f1d; --err: #45224f; --idle: #1d232a; --odd: #4d3d0d } }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 80rem; margin: auto; padding: 1rem }
.grid { overflow-x: auto }
table { border-collapse: collapse; font-size: .9rem }
th, td { border: 1px solid var(--line); padding: .2rem .45rem; text-align: center }
th[scope=row] { text-align: left; position: sticky; left: 0; background: var(--ground); white-space: nowrap }
a { color: inherit } td a { display: block; text-decoration: none }
.n { font-variant-numeric: tabular-nums }
.key i { font-style: normal; padding: 0 .4rem; margin-left: .6rem; border: 1px solid var(--line) }
.passed { background: var(--good) } .wrong { background: var(--bad) } .error { background: var(--err) }
.not-started { background: var(--idle) } .cannot-check { background: var(--odd) }
details { border-bottom: 1px solid var(--line); padding: .3rem 0 } summary { cursor: pointer; font-weight: 600 }
dt { margin-top: .4rem } dd { margin-left: 1.5rem; overflow-wrap: anywhere; white-space: pre-wrap }
@media print { details:not([open]) > dl { display: block } }
`;
