/**
 * A data set larger than its workers' memory: how long until it is prepared, found again, trained on and taken up again, what
 * each process holds at the most, and how long steps wait for rows. Linux. Makes the data set, and removes it.
 *
 *     node dist/bench/large-data.js [--gigabytes 4] [--features 128] [--workers 2] [--epochs 1] [--hidden 64] [--folder DIR]
 *
 * With `--job FILE` it trains that job instead, twice.
 *
 * Needs about four times the size on disk: the file, what is read of it, and its shards.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { RunEvent } from '#training';
import { arrayJob, writeArrays } from '../test/support/array-data.js';
import { type RunningCommand, startCommand } from '../test/support/command.js';

const SAMPLE_MS = 200;

interface Peak {
  /** When it was seen first. */
  readonly startBytes: number;
  readonly peakBytes: number;
}

interface Times {
  readonly dataWaitSeconds: number;
  readonly computeSeconds: number;
}

interface Observed {
  readonly seconds: number;
  /** From the start of the command to the end of preparing, and to the first step. */
  readonly preparedAfter: number;
  readonly firstStepAfter: number;
  readonly reused: boolean | undefined;
  readonly peaks: ReadonlyMap<string, Peak>;
  /** Of all workers together, from the first step on: the first window is a part of starting. */
  readonly dataWaitSeconds: number;
  readonly computeSeconds: number;
  readonly last: RunEvent | undefined;
}

/** Runs a command to its end, or until a step that it is to be killed at. */
async function observe(words: readonly string[], killAtStep = Number.POSITIVE_INFINITY): Promise<Observed> {
  const begunAt = performance.now();
  await using command = startCommand([...words, '--json']);
  let isOver = false;
  const over = command.ended.then(() => {
    isOver = true;
  });
  const peaks = new Map<string, Peak>();
  let metrics: Times = { dataWaitSeconds: 0, computeSeconds: 0 };
  let atFirstStep: Times | undefined;
  let preparedAfter = Number.NaN;
  let firstStepAfter = Number.NaN;
  const note = (): void => {
    const after = (performance.now() - begunAt) / 1000;
    if (Number.isNaN(preparedAfter) && command.events.some(({ event }) => event === 'data_prepared'))
      preparedAfter = after;
    if (Number.isNaN(firstStepAfter) && command.events.some(({ event }) => event === 'step_committed'))
      firstStepAfter = after;
  };
  const times = setInterval(note, 5);
  while (!isOver) {
    await samplePeaks(command, peaks);
    metrics = (await sampleMetrics(command)) ?? metrics;
    const stepped = command.events.some(({ event }) => event === 'step_committed');
    if (stepped) atFirstStep ??= metrics;
    const last = command.events.findLast((event) => event.event === 'step_committed');
    if (last !== undefined && last.step >= killAtStep) break;
    await delay(SAMPLE_MS);
  }
  clearInterval(times);
  if (isOver) await over;
  note();
  const prepared = command.events.find((event) => event.event === 'data_prepared');
  const last = command.events.at(-1);
  if (isOver && last?.event !== 'run_finished') throw new Error((await command.ended).stderr);
  return {
    ...{ seconds: (performance.now() - begunAt) / 1000, preparedAfter, firstStepAfter, peaks, last },
    dataWaitSeconds: metrics.dataWaitSeconds - (atFirstStep?.dataWaitSeconds ?? 0),
    computeSeconds: metrics.computeSeconds - (atFirstStep?.computeSeconds ?? 0),
    reused: prepared?.reused,
  };
}

async function samplePeaks(command: RunningCommand, peaks: Map<string, Peak>): Promise<void> {
  for (const pid of await command.offspring()) {
    try {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8');
      const service = /services\/(coordinator|worker)\//.exec(line)?.[1];
      if (service === undefined) continue;
      const name = `${service} ${pid}`;
      const status = await readFile(`/proc/${pid}/status`, 'utf8');
      const bytesOf = (field: string): number =>
        1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
      const startBytes = peaks.get(name)?.startBytes ?? bytesOf('VmRSS');
      // The first samples may catch it while it still loads its code.
      const settled = command.events.length <= 1 ? Math.max(startBytes, bytesOf('VmRSS')) : startBytes;
      peaks.set(name, { startBytes: settled, peakBytes: bytesOf('VmHWM') });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')))
        throw error;
    }
  }
}

/** What the workers' metrics say; undefined while there are none. */
async function sampleMetrics({ events }: RunningCommand): Promise<Times | undefined> {
  const started = events.find((event) => event.event === 'run_started' || event.event === 'run_resumed');
  if (started === undefined || !('dashboard' in started)) return undefined;
  try {
    const targets = (await (await fetch(new URL('targets', started.dashboard))).json()) as { targets: string[] }[];
    const total = { dataWaitSeconds: 0, computeSeconds: 0 };
    for (const address of targets.flatMap((group) => group.targets)) {
      const text = await (await fetch(`http://${address}/metrics`)).text();
      const sum = (name: string): number =>
        [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'gm'))].reduce(
          (all, [, value]) => all + Number(value),
          0,
        );
      total.dataWaitSeconds += sum('ropeteam_worker_data_wait_seconds_total');
      total.computeSeconds += sum('ropeteam_worker_computing_seconds_total');
    }
    return total;
  } catch {
    return undefined; // the run is over: its processes are going
  }
}

interface Size {
  readonly gigabytes: string;
  readonly features: string;
  readonly epochs: string;
  readonly batch: string;
  readonly hidden: string;
}

/** Makes a data set and its job. @returns the job file */
async function makeJob(directory: string, size: Size): Promise<string> {
  const features = Number(size.features);
  const rows = Math.ceil((Number(size.gigabytes) * 1e9) / (4 * (features + 1)));
  const files = await writeArrays(directory, { rows, features, classes: 10 });
  const train = { epochs: Number(size.epochs), batch: Number(size.batch) };
  const path = join(directory, 'job.yaml');
  await writeFile(path, arrayJob(files, train).text.replace('{ dense: 24 }', `{ dense: ${size.hidden} }`));
  process.stdout.write(`${rows} rows of ${features} features, ${((4 * rows * (features + 1)) / 1e9).toFixed(2)} GB\n`);
  return path;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      gigabytes: { type: 'string', default: '4' },
      features: { type: 'string', default: '128' },
      workers: { type: 'string', default: '2' },
      epochs: { type: 'string', default: '1' },
      hidden: { type: 'string', default: '64' },
      batch: { type: 'string', default: '4096' },
      'data-memory': { type: 'string' },
      job: { type: 'string' },
      folder: { type: 'string', default: tmpdir() },
    },
  });
  const directory = await mkdtemp(join(values.folder, 'ropeteam-large-'));
  try {
    const job = values.job ?? (await makeJob(directory, values));
    const memory = values['data-memory'] === undefined ? [] : ['--data-memory', values['data-memory']];
    const options = ['--workers', values.workers, ...memory];
    const runs = join(directory, 'runs');
    const train1 = ['train', job, ...options, '--out', runs, '--run-id'];
    const table = new Table({
      style: { head: [], border: [], compact: true },
      head: ['', 'prepared s', 'first step s', 'all s', 'rows/s', 'data wait', 'process', 'MB at start', 'MB above'],
    });
    const show = (what: string, seen: Observed): void => {
      const wait = `${((100 * seen.dataWaitSeconds) / (seen.dataWaitSeconds + seen.computeSeconds)).toFixed(2)} %`;
      const finished = seen.last?.event === 'run_finished' ? seen.last.samplesPerSecond.toFixed(0) : '';
      const figures = [
        what,
        seen.preparedAfter.toFixed(2),
        seen.firstStepAfter.toFixed(2),
        seen.seconds.toFixed(1),
        finished,
        wait,
      ];
      for (const [name, { startBytes, peakBytes }] of seen.peaks) {
        table.push([...figures, name, (startBytes / 1e6).toFixed(0), ((peakBytes - startBytes) / 1e6).toFixed(0)]);
      }
    };
    show('first run', await observe([...train1, 'first']));
    const again = await observe([...train1, 'again', '--save-every', '50'], 120);
    show(`again${again.reused === true ? ', from the cache' : ''}, killed`, again);
    show('resumed', await observe(['resume', join(runs, 'again'), ...options], 200));
    process.stdout.write(`${table.toString()}\n`);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

await main();
