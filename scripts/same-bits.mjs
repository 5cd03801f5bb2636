// Shows the promise: trains one job on many different clusters and compares the weights.
//   npm run build && node scripts/same-bits.mjs [--node /path/to/another/node]...
// Prints a Markdown table; exit code 1 when one run differs, or did not do what its row says. Node only, no packages.
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../', import.meta.url));
const command = join(root, 'dist/cli/src/main.js');
const job = 'examples/digits/job.yaml';
/** Eight cuts of a batch instead of the two that `auto` gives this job: so that eight workers all have work. */
const MICRO_BATCHES = 8;

const CLUSTERS = [
  { workers: 1, threads: 1 },
  { workers: 1, threads: 2 },
  { workers: 2, threads: 1 },
  { workers: 2, threads: 2 },
  { workers: 3, threads: 1 },
  { workers: 4, threads: 1 },
  { workers: 8, threads: 1 },
  { workers: 2, threads: 1, kernel: 'js' },
  { workers: 3, threads: 1, kill: true },
];

async function main() {
  const { values } = parseArgs({ options: { node: { type: 'string', multiple: true, default: [] } } });
  if (!existsSync(command)) throw new Error(`${command} is not there: build first (npm run build)`);
  const others = values.node.map((node) => ({ workers: 2, threads: 1, node }));
  const folder = mkdtempSync(join(tmpdir(), 'ropeteam-same-bits-'));
  const rows = [];
  try {
    for (const cluster of [...CLUSTERS, ...others]) {
      const row = await train({ kernel: 'wasm', kill: false, node: process.execPath, ...cluster }, folder);
      console.error(
        `${rows.length + 1}/${CLUSTERS.length + others.length}  ${row.seconds.toFixed(1)} s  ${row.sha256}`,
      );
      rows.push(row);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  report(rows);
}

/** One run of the command, as a user would start it; what is known of it comes from its events. */
async function train({ workers, threads, kernel, kill, node }, folder) {
  const nodeVersion = await versionOf(node);
  const cluster = ['--workers', String(workers), '--threads', String(threads), '--kernel', kernel];
  const events = ['--json', '--every-step', '--quiet', '--out', folder];
  const words = ['train', job, '--set', `train.microBatches=${MICRO_BATCHES}`, ...cluster, ...events];
  const child = spawn(node, [command, ...words], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(signal ?? code));
  });
  const pids = new Map();
  let fatalStep;
  let killed;
  let finished;
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line);
    if (event.event === 'worker_joined') pids.set(event.worker, event.pid);
    // Any step but the last few: the loss must be noticed while there is still something to compute.
    if (event.event === 'run_started') fatalStep = randomInt(1, event.steps - 20);
    if (kill && event.event === 'step_committed' && event.step === fatalStep) {
      const [victim, pid] = [...pids][randomInt(pids.size)];
      process.kill(pid, 'SIGKILL');
      killed = `${victim} at step ${event.step}`;
    }
    if (event.event === 'run_finished') finished = event;
  }
  const exit = await ended;
  if (finished === undefined || exit !== 0) throw new Error(`ropeteam ${words.join(' ')} ended with ${exit}`);
  if (kill !== finished.workersLost > 0) {
    throw new Error(`${finished.workersLost} workers were lost, ${killed ?? 'none'} was killed`);
  }
  const { weightsSha256: sha256, seconds } = finished;
  return { workers, threads, kernel: finished.kernel, nodeVersion, killed, sha256, seconds };
}

function versionOf(node) {
  if (node === process.execPath) return process.version;
  return new Promise((resolve, reject) => {
    const child = spawn(node, ['--version'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (data) => {
      text += data;
    });
    child.once('error', reject);
    child.once('close', () => resolve(text.trim()));
  });
}

function report(rows) {
  const same = new Set(rows.map(({ sha256 }) => sha256)).size === 1;
  const table = [
    ['workers', 'threads each', 'kernel', 'Node', 'killed (SIGKILL)', 'weights sha256'],
    ...rows.map(({ workers, threads, kernel, nodeVersion, killed, sha256 }) => {
      const digits = same ? `\`${sha256.slice(0, 16)}…\`` : `\`${sha256}\``;
      return [String(workers), String(threads), `\`${kernel}\``, nodeVersion.slice(1), killed ?? '–', digits];
    }),
  ];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`;
  console.log([line(table[0]), line(widths.map((width) => '-'.repeat(width))), ...table.slice(1).map(line)].join('\n'));
  console.log(`\n${cpus()[0]?.model ?? 'unknown CPU'}, ${availableParallelism()} cores, ${process.platform}.`);
  console.log(same ? `All the same: ${rows.length} runs, sha256 ${rows[0].sha256}.` : 'NOT the same.');
  if (!same) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
