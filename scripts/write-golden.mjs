// Writes test/golden/VERSION: what this version leaves on disk and says on the wire, for every later one to read. Once a
// version; a folder that is there is never written again, so a change of format shows as a test that fails.
//   npm run build && node scripts/write-golden.mjs
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const folder = join(root, 'test/golden', version);
/** Of every kind of column: numbers, words, and a target of three classes. */
const ROWS = 240;
const RUN = 'golden';
const JOB = `apiVersion: ropeteam/v1
name: golden
data: { source: rows.csv, target: kind, split: { validation: 0.1, test: 0.1 } }
model: { layers: [{ dense: 6 }, relu, { dropout: 0.1 }] }
train: { epochs: 6, batch: 32, microBatches: 4, optimizer: { adam: { learningRate: 0.02 } }, seed: 11 }
checkpoint: { everySteps: 8 }
`;

if (existsSync(folder)) {
  console.error(`${folder} is there already, and what a version wrote does not change. Raise the version first.`);
  process.exit(1);
}
const { finished, openLives } = await import(new URL('../dist/test/support/coordinator-life.js', import.meta.url).href);
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'rows.csv'), rows());
writeFileSync(join(folder, 'job.yaml'), JOB);
const job = { text: JOB, files: { 'rows.csv': join(folder, 'rows.csv') } };

const end = await calmRun();
await killedRun();
const { weightsSha256, optimizerSha256, steps } = end;
writeFileSync(
  join(folder, 'expected.json'),
  `${JSON.stringify({ weightsSha256, optimizerSha256, steps, test: end.test }, null, 2)}\n`,
);
const predicted = ropeteam('predict', join(folder, 'finished'), '--input', join(folder, 'rows.csv'));
writeFileSync(join(folder, 'predictions.csv'), predicted);
const buf = join(dirname(createRequire(import.meta.url).resolve('@bufbuild/buf/package.json')), 'bin/buf');
execFileSync(buf, ['build', 'proto', '-o', join(folder, 'proto.binpb')], { cwd: root });
console.error(`${folder} is written; its weights are ${weightsSha256}`);
process.exit(0);

/** A run to its end, in the folder `finished`. */
async function calmRun() {
  const lives = await openLives();
  const life = await lives.live();
  await lives.work();
  await lives.submit(job, RUN);
  const last = finished(await lives.follow(RUN));
  life.process.kill('SIGTERM'); // it tidies up after a run; the folder is settled when it is gone
  await life.ended;
  keep(lives.runsDirectory, 'finished');
  await lives[Symbol.asyncDispose]();
  return last;
}

/** The same run, whose coordinator died after its second checkpoint, in the folder `killed`. */
async function killedRun() {
  const lives = await openLives();
  const life = await lives.live({ failpoints: 'before-retention:2:kill' });
  await lives.submit(job, RUN);
  await lives.work();
  await life.ended;
  keep(lives.runsDirectory, 'killed');
  await lives[Symbol.asyncDispose]();
}

/** A run's folder as it is, but for who led it and where on this machine that was. */
function keep(runs, name) {
  const to = join(folder, name);
  cpSync(join(runs, RUN), to, { recursive: true });
  rmSync(join(to, '.lead'), { recursive: true });
  for (const file of readdirSync(to, { recursive: true }).filter((path) => /\.(?:ndjson|json)$/.test(path))) {
    const path = join(to, file);
    writeFileSync(path, readFileSync(path, 'utf8').replaceAll(runs, '/runs'));
  }
}

/** A small generator (Numerical Recipes' constants), so that the rows are the same whoever writes them. */
function rows() {
  let state = 20_261_128;
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const colours = ['red', 'green', 'blue'];
  const lines = Array.from({ length: ROWS }, () => {
    const [length, width, colour] = [random() * 10, random() * 4, colours[Math.floor(random() * 3)]];
    const kind = length > 5 ? 'long' : colour === 'red' ? 'red' : 'short';
    return [length.toFixed(3), width.toFixed(3), colour, kind].join(',');
  });
  return `length,width,colour,kind\n${lines.join('\n')}\n`;
}

function ropeteam(...words) {
  return execFileSync(process.execPath, [join(root, 'dist/cli/src/main.js'), ...words], { encoding: 'utf8' });
}
