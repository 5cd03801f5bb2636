// Turns a recorded terminal into one SVG file that plays it: text, no script, no font of its own.
//   node docs/images/terminal-to-svg.mjs FRAMES_DIR > docs/images/train.svg
// FRAMES_DIR holds 0001.txt, 0002.txt, … as `tmux capture-pane -e -p` writes them, a quarter of a second apart:
//   tmux new-session -d -s rec -x 100 -y 30 && tmux send-keys -t rec 'npm start' Enter
//   for i in $(seq -w 1 0400); do tmux capture-pane -e -p -t rec > frames/$i.txt; sleep 0.25; done
// Whoever asks for less motion, and whatever does not animate, sees the last frame.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FRAME_MS = 250;
/** The recording is shown twice as fast as it ran; the last frame stays. */
const SPEED = 2;
const LAST_FRAME_MS = 8000;
const MOST_FRAMES = 48;
const CELL = { width: 8.4, height: 19 };
const MARGIN = 18;
const BAR = 34;
const COLOURS = {
  background: '#12161c',
  bar: '#1d232c',
  plain: '#d5dbe3',
  dim: '#7f8b99',
  // Codes 30 to 37.
  named: ['#5c6773', '#f0716b', '#7fd48a', '#e8c468', '#6cb0f5', '#c58cf0', '#62cfd8', '#d5dbe3'],
};

/** A change of colour or weight, as terminals write it: ESC [ codes m. */
const STYLE = `${String.fromCharCode(27)}\\[([\\d;]*)m`;

/** A capture as runs of one style. */
function runsOf(capture) {
  const runs = [];
  let style = { colour: undefined, bold: false, dim: false };
  // Split by a pattern with one group: text and codes take turns.
  for (const [index, part] of capture.split(new RegExp(STYLE)).entries()) {
    if (index % 2 === 0) {
      if (part !== '') runs.push({ text: part, ...style });
      continue;
    }
    for (const code of (part === '' ? '0' : part).split(';').map(Number)) {
      if (code === 0) style = { colour: undefined, bold: false, dim: false };
      else if (code === 1) style = { ...style, bold: true };
      else if (code === 2) style = { ...style, dim: true };
      else if (code === 22) style = { ...style, bold: false, dim: false };
      else if (code >= 30 && code <= 37) style = { ...style, colour: COLOURS.named[code - 30] };
      else if (code >= 90 && code <= 97) style = { ...style, colour: COLOURS.named[code - 90] };
      else if (code === 39) style = { ...style, colour: undefined };
    }
  }
  return runs;
}

/** A style lasts over line ends, so a capture is cut into runs as a whole. */
function linesOf(capture) {
  const lines = [[]];
  for (const run of runsOf(capture)) {
    for (const [index, text] of run.text.split('\n').entries()) {
      if (index > 0) lines.push([]);
      if (text !== '') lines.at(-1).push({ ...run, text });
    }
  }
  return lines;
}

function frameToSvg(capture) {
  return linesOf(capture)
    .map((runs, row) => {
      let column = 0;
      const y = (BAR + MARGIN + (row + 0.75) * CELL.height).toFixed(1);
      const spans = runs.map(({ text, colour, bold, dim }) => {
        const x = (MARGIN + column * CELL.width).toFixed(1);
        const length = [...text].length;
        column += length;
        if (text.trim() === '') return '';
        const fill = colour ?? (dim ? COLOURS.dim : undefined);
        const faded = colour !== undefined && dim ? ' opacity=".6"' : '';
        const weight = bold ? ' font-weight="600"' : '';
        const width = ` textLength="${(length * CELL.width).toFixed(1)}"`;
        return `<tspan x="${x}"${width}${fill === undefined ? '' : ` fill="${fill}"`}${weight}${faded}>${escaped(text)}</tspan>`;
      });
      return runs.length === 0 ? '' : `<text y="${y}">${spans.join('')}</text>`;
    })
    .join('');
}

/** Renderers disagree on which spaces they keep; all of them keep this one. */
const NO_BREAK_SPACE = '\u00a0';

function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll(' ', NO_BREAK_SPACE);
}

/** Frames that differ from the one before, with the time each is shown. */
function framesIn(folder) {
  const frames = [];
  for (const name of readdirSync(folder)
    .filter((each) => each.endsWith('.txt'))
    .sort()) {
    const capture = readFileSync(join(folder, name), 'utf8').trimEnd();
    if (frames.at(-1)?.capture === capture) frames.at(-1).ms += FRAME_MS / SPEED;
    else frames.push({ capture, ms: FRAME_MS / SPEED });
  }
  return thinned(frames);
}

/** Evenly fewer frames, never fewer than the first and the last. */
function thinned(frames) {
  const every = Math.ceil(frames.length / MOST_FRAMES);
  const kept = [];
  for (const [index, frame] of frames.entries()) {
    if (index % every === 0 || index === frames.length - 1) kept.push({ ...frame });
    else kept.at(-1).ms += frame.ms;
  }
  kept.at(-1).ms = LAST_FRAME_MS;
  return kept;
}

function render(frames) {
  const rows = Math.max(...frames.map(({ capture }) => capture.split('\n').length));
  const columns = Math.max(...frames.map(({ capture }) => longestLine(capture)));
  const width = Math.ceil(columns * CELL.width + 2 * MARGIN);
  const height = Math.ceil(BAR + rows * CELL.height + 2 * MARGIN);
  const total = frames.reduce((sum, { ms }) => sum + ms, 0);
  const share = (ms) => `${((100 * ms) / total).toFixed(3)}%`;
  let at = 0;
  const rules = [];
  const groups = frames.map(({ capture, ms }, index) => {
    const [begin, end] = [at, at + ms];
    at = end;
    const last = index === frames.length - 1;
    const off = last ? '' : `${share(end)}{visibility:hidden}`;
    rules.push(`@keyframes f${index}{0%{visibility:hidden}${share(begin)}{visibility:visible}${off}}`);
    rules.push(`#f${index}{animation:f${index} ${(total / 1000).toFixed(2)}s step-end infinite}`);
    return `<g id="f${index}"${last ? '' : ' visibility="hidden"'}>${frameToSvg(capture)}</g>`;
  });
  const dots = ['#f0716b', '#e8c468', '#7fd48a'].map(
    (fill, index) => `<circle cx="${20 + 20 * index}" cy="${BAR / 2}" r="6" fill="${fill}"/>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="npm start trains the digits example on two workers and prints the sha256 of the weights">
<style>text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:${COLOURS.plain}}@media (prefers-reduced-motion:no-preference){${rules.join('')}}</style>
<rect width="${width}" height="${height}" rx="10" fill="${COLOURS.background}"/>
<path d="M0 ${BAR}V10a10 10 0 0 1 10-10H${width - 10}a10 10 0 0 1 10 10V${BAR}z" fill="${COLOURS.bar}"/>
${dots.join('')}
${groups.join('\n')}
</svg>
`;
}

const longestLine = (capture) =>
  Math.max(...linesOf(capture).map((runs) => runs.reduce((sum, { text }) => sum + [...text].length, 0)));

const folder = process.argv[2];
if (folder === undefined) {
  console.error('which folder holds the frames? node docs/images/terminal-to-svg.mjs FRAMES_DIR');
  process.exit(2);
}
process.stdout.write(render(framesIn(folder)));
