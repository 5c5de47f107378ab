// What a page does in the browser: search, dark or light, copy. It asks nothing of any other machine.
const here = new URL('.', document.currentScript?.src ?? location.href);
const onDisk = location.protocol === 'file:';

const theme = document.getElementById('theme');
theme?.addEventListener('click', () => {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === 'dark'
    : matchMedia('(prefers-color-scheme: dark)').matches;
  root.dataset.theme = dark ? 'light' : 'dark';
  try {
    localStorage.setItem('theme', root.dataset.theme);
  } catch {
    // Without storage the choice lasts as long as the page.
  }
});

for (const pre of document.querySelectorAll('main pre')) {
  const lines = pre.textContent.split('\n');
  const isConsole = pre.classList.contains('language-console');
  if (!isConsole && pre.closest('.quote')) continue;
  const commands = isConsole
    ? lines.filter((line) => /^[$#] /.test(line)).map((line) => line.slice(2))
    : lines;
  if (!commands.join('').trim()) continue;
  const box = document.createElement('div');
  box.className = 'copied';
  pre.replaceWith(box);
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: 'copy' });
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(commands.join('\n').trimEnd());
    button.textContent = 'copied';
    setTimeout(() => (button.textContent = 'copy'), 1500);
  });
  box.append(pre, button);
}

const input = document.getElementById('search');
const results = document.getElementById('results');
let index;

/** The index is loaded when the reader first searches; as a script, because a page on disk may fetch nothing. */
function loadIndex() {
  index ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL('search.js', here).href;
    script.onload = () => resolve(globalThis.bookIndex);
    script.onerror = reject;
    document.head.append(script);
  });
  return index;
}

async function search() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  results.hidden = words.length === 0;
  if (words.length === 0) return results.replaceChildren();
  const score = (entry) =>
    words.every((word) => entry.text.toLowerCase().includes(word))
      ? 1 + words.filter((word) => entry.title.toLowerCase().includes(word)).length * 10
      : 0;
  const hits = (await loadIndex())
    .map((entry) => ({ entry, score: score(entry) }))
    .filter((hit) => hit.score > 0)
    .sort((a, b) => b.score - a.score)
    .slice(0, 12);
  results.replaceChildren(...hits.map(({ entry }) => line(entry, words[0])));
  if (hits.length === 0) results.textContent = 'Nothing found.';
}

function line(entry, word) {
  const link = document.createElement('a');
  const page = onDisk ? `${entry.page}index.html` : entry.page;
  link.href = new URL(`.${page}`, here).href + (entry.id ? `#${entry.id}` : '');
  link.textContent = entry.title;
  const at = entry.text.toLowerCase().indexOf(word);
  const around = document.createElement('small');
  const mark = Object.assign(document.createElement('mark'), {
    textContent: entry.text.slice(at, at + word.length),
  });
  around.append(
    '… ',
    entry.text.slice(Math.max(0, at - 40), at),
    mark,
    entry.text.slice(at + word.length, at + 60),
    ' …',
  );
  const item = document.createElement('li');
  item.append(link, around);
  return item;
}

input?.addEventListener('input', search);
addEventListener('keydown', (event) => {
  if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(document.activeElement?.tagName ?? '')) {
    event.preventDefault();
    document.querySelector('.chapters').open = true;
    input.focus();
  }
  if (event.key === 'Escape' && document.activeElement === input) {
    input.value = '';
    void search();
    input.blur();
  }
  if (event.key === 'Enter' && document.activeElement === input) results.querySelector('a')?.click();
});
