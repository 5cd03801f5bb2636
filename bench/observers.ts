/**
 * What does being watched cost a run? W3 (784-128-10, batch 256), two workers, real processes; runs that differ in who looks
 * on take turns, so that a noisy machine disturbs all alike.
 *
 *     node dist/bench/observers.js [--repeats 5] [--steps 1000] [--json]
 *
 * Nobody looks: the run writes its events and counts its metrics all the same. `one observer` is a page, a scrape every five
 * seconds (`deploy/prometheus/prometheus.yml`) and a watcher of all events; `50 pages` are as many readers of the page's stream
 * that also ask for the status every five seconds, each on connections that it keeps, as browsers do. The coordinator's processor time is the operating system's, of all its threads, from
 * the run's first step to its last; readers and scrapes come from this process and are not in it.
 */
import { setMaxListeners } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { Agent, get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { startTestCluster, type TestCluster, type TestJob } from '../test/support/cluster.js';
import { median } from './kernel/take-turns.js';
import { makeUpJob } from './made-up-job.js';

const AUDIENCES = ['nobody', 'one observer', '50 pages'] as const;
/** Between two questions of the page, and two scrapes. */
const ASK_MS = 5_000;
type Audience = (typeof AUDIENCES)[number];

interface Turn {
  readonly samplesPerSecond: number;
  /** Of the coordinator, for one step. */
  readonly processorMs: number;
}

/** utime and stime of a process, in milliseconds: a tick is 10 ms on Linux. */
async function processorMs(pid: number | undefined): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Reads and throws away, until the signal. */
function read(url: string, signal: AbortSignal, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { signal, agent }, (response) => {
      response.resume();
      response.on('close', resolve);
    });
    request.on('error', (error) => (signal.aborted ? resolve() : reject(error)));
  });
}

function every(ms: number, url: string, signal: AbortSignal, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => read(url, signal, agent).catch(reject), ms);
    signal.addEventListener('abort', () => {
      clearInterval(timer);
      resolve();
    });
  });
}

function audience(kind: Audience, cluster: TestCluster, run: string, signal: AbortSignal): Promise<unknown> {
  const { http } = cluster;
  const open = (): Agent => {
    const agent = new Agent({ keepAlive: true });
    signal.addEventListener('abort', () => agent.destroy());
    return agent;
  };
  const page = (): Promise<unknown> => {
    const agent = open();
    return Promise.all([
      read(`${http}/runs/${run}/page`, signal, agent),
      every(ASK_MS, `${http}/api/status`, signal, agent),
    ]);
  };
  if (kind === 'nobody') return Promise.resolve();
  if (kind === '50 pages') return Promise.all(Array.from({ length: 50 }, page));
  const [prometheus, program] = [open(), open()];
  return Promise.all([
    page(),
    every(ASK_MS, `${http}/metrics`, signal, prometheus),
    read(`${http}/runs/${run}/events`, signal, program),
  ]);
}

async function turn(cluster: TestCluster, kind: Audience, work: TestJob): Promise<Turn> {
  const gone = new AbortController();
  setMaxListeners(0, gone.signal);
  const { pid } = cluster.coordinator;
  let looking: Promise<unknown> = Promise.resolve();
  let before: Promise<number> = Promise.resolve(0);
  const finished = await cluster.finish(work, ({ event, run }) => {
    if (event !== 'run_started') return;
    before = processorMs(pid);
    looking = audience(kind, cluster, run, gone.signal);
  });
  const spent = (await processorMs(pid)) - (await before);
  gone.abort();
  await looking;
  return { samplesPerSecond: finished.samplesPerSecond, processorMs: spent / finished.steps };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      repeats: { type: 'string', default: '5' },
      steps: { type: 'string', default: '1000' },
      grain: { type: 'string', default: 'step' },
      json: { type: 'boolean', default: false },
    },
  });
  const turns = new Map<Audience, Turn[]>(AUDIENCES.map((kind) => [kind, []]));
  const folder = await mkdtemp(join(tmpdir(), 'ropeteam-observers-'));
  await using _ = { [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
  const optimizer = '{ momentum: { learningRate: 0.01 } }';
  const work = await makeUpJob({ name: 'watched', workload: 'W3', steps: Number(values.steps), optimizer }, folder);
  await using cluster = await startTestCluster({ workers: 2, grain: values.grain === 'auto' ? 'auto' : 'step' });
  for (let repeat = -1; repeat < Number(values.repeats); repeat++) {
    for (const [kind, done] of turns) {
      const measured = await turn(cluster, kind, work);
      if (repeat >= 0) done.push(measured); // the first round warms up
    }
  }
  const alone = turns.get('nobody') ?? [];
  const rows = [...turns].map(([kind, done]) => {
    // Of neighbours in time: what the machine did to one it did to the other.
    const ratio = (of: (turn: Turn) => number): number =>
      median(done.map((one, index) => of(one) / of(alone[index] ?? one)));
    return {
      audience: kind,
      processorMs: median(done.map((one) => one.processorMs)),
      processorRatio: ratio((one) => one.processorMs),
      samplesPerSecond: median(done.map((one) => one.samplesPerSecond)),
      throughputRatio: ratio((one) => one.samplesPerSecond),
    };
  });
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ node: process.version, turns: [...turns], rows })}\n`);
    return;
  }
  const head = ['who looks on', 'coordinator, ms a step', ': nobody', 'samples/s', ': nobody'];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (const row of rows) {
    table.push([
      row.audience,
      row.processorMs.toFixed(3),
      row.processorRatio.toFixed(3),
      row.samplesPerSecond.toFixed(0),
      row.throughputRatio.toFixed(3),
    ]);
  }
  process.stdout.write(`${table.toString()}\nmedians of ${values.repeats} turns; Node ${process.version}\n`);
}

await main();
