/**
 * How long do honest steps take while a coordinator is attacked? Two workers with certificates train W3 (784-128-10, batch 256)
 * step by step; periods of calm and periods in which every attack of `test/security` is made once take turns.
 *
 *     node dist/bench/under-attack.js [--rounds 3] [--json]
 *
 * Attacks come from this process, on the same cores. The goal: in the attacked periods the 99th percentile of a step is at
 * most twice that of the calm ones; and all runs end with the same weights.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startAttackedCluster, trainUntil } from '../test/security/attacked-cluster.js';
import { callAttacks } from '../test/security/call-attacks.js';
import { http2Attacks } from '../test/security/http2-attacks.js';
import { pageAttacks } from '../test/security/page-attacks.js';
import type { Target } from '../test/security/target.js';
import { tlsAttacks } from '../test/security/tls-attacks.js';
import { makeUpJob } from './made-up-job.js';
import { printTable } from './print-table.js';

const GOAL = 2;
/** The first steps of a run load and compile. */
const WARM_STEPS = 20;

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '3' }, json: { type: 'boolean', default: false } },
});

interface Period {
  readonly name: 'calm' | 'attacked';
  readonly stepsMs: number[];
  readonly seconds: number[];
}

const calm: Period = { name: 'calm', stepsMs: [], seconds: [] };
const attacked: Period = { name: 'attacked', stepsMs: [], seconds: [] };
const folder = await mkdtemp(join(tmpdir(), 'ropeteam-under-attack-'));
let attacks = 0;
let hashes: ReadonlySet<string>;
try {
  await using place = await startAttackedCluster();
  const optimizer = '{ momentum: { learningRate: 0.01 } }';
  const job = await makeUpJob({ name: 'attacked', workload: 'W3', steps: 600, optimizer }, folder);
  let now: Period | undefined;
  let over = false;
  const training = trainUntil(
    () => over,
    place.cluster,
    job,
    (event) => {
      if (event.event === 'step_committed' && event.step > WARM_STEPS) now?.stepsMs.push(event.durationMs);
    },
  );
  const period = async (kind: Period, work: () => Promise<unknown>): Promise<number> => {
    now = kind;
    const startedAt = performance.now();
    await work();
    now = undefined;
    const seconds = (performance.now() - startedAt) / 1000;
    kind.seconds.push(seconds);
    return seconds;
  };
  await Promise.race([training, delay(10_000)]); // whatever compiles once
  for (let round = 0; round < Number(values.rounds); round++) {
    const seconds = await period(attacked, () => attackOnce(place.target));
    await Promise.race([training, period(calm, () => delay(seconds * 1000))]);
  }
  over = true;
  hashes = await training;
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function attackOnce(target: Target): Promise<void> {
  const apart = [...callAttacks, ...pageAttacks];
  // Those that only ask whether a connection is cut are made together.
  await Promise.all([...tlsAttacks, ...http2Attacks].map(({ run }) => run(target)));
  for (const { run } of apart) await run(target);
  attacks = tlsAttacks.length + http2Attacks.length + apart.length;
}

function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const figures = [calm, attacked].map(({ name, stepsMs, seconds }) => ({
  period: name,
  seconds: sum(seconds),
  steps: stepsMs.length,
  p50Ms: percentile(stepsMs, 0.5),
  p99Ms: percentile(stepsMs, 0.99),
}));
const ratio = (figures[1]?.p99Ms ?? Number.NaN) / (figures[0]?.p99Ms ?? Number.NaN);
if (values.json) {
  process.stdout.write(`${JSON.stringify({ attacks, figures, p99Ratio: ratio, hashes: [...hashes] })}\n`);
} else {
  const rows = figures.map(({ period, seconds, steps, p50Ms, p99Ms }) => [
    period,
    seconds.toFixed(0),
    String(steps),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
  ]);
  printTable(['period', 'seconds', 'steps', 'median ms', '99th percentile ms'], rows, false);
  const told = hashes.size === 1 ? 'the same weights' : `weights differ: ${[...hashes].join(' ')}`;
  console.log(
    `${attacks} attacks a round; 99th percentile, attacked / calm: ${ratio.toFixed(2)}, goal ${GOAL}; ${told}`,
  );
}
