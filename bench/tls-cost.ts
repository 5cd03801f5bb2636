/**
 * What TLS with certificates on both ends costs a step: two clusters of two workers, one in plaintext and one with TLS, take
 * turns at the same training. Build first: `node dist/bench/tls-cost.js`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { makeCertificates } from '../test/support/certificates.js';
import { startTestCluster, type TestCluster, type TestJob } from '../test/support/cluster.js';
import { median } from './kernel/take-turns.js';
import { WORKLOADS } from './kernel/workloads.js';
import { makeUpJob } from './made-up-job.js';

const { widths, batch } = WORKLOADS.W4;
const GOAL = 1.1;
/** The first steps of a run load and compile. */
const WARM_STEPS = 4;

interface Contestant {
  readonly name: 'plaintext' | 'TLS';
  readonly cluster: TestCluster;
  readonly rounds: number[];
  readonly hashes: Set<string>;
}

/** Median milliseconds of a step of one run. */
async function turn({ cluster, hashes }: Contestant, job: TestJob): Promise<number> {
  const durations: number[] = [];
  const { weightsSha256 } = await cluster.finish(job, (event) => {
    if (event.event === 'step_committed' && event.step > WARM_STEPS) durations.push(event.durationMs);
  });
  hashes.add(weightsSha256);
  return median(durations);
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, steps: { type: 'string', default: '40' } },
});
const folder = await mkdtemp(join(tmpdir(), 'ropeteam-tls-cost-'));
try {
  const optimizer = '{ adam: { learningRate: 0.0001 } }';
  const job = await makeUpJob({ name: 'w4', workload: 'W4', steps: Number(values.steps), optimizer }, folder);
  await using plain = await startTestCluster({ workers: 2 });
  await using secure = await startTestCluster({
    workers: 2,
    certificates: makeCertificates(join(folder, 'certs')).folder,
  });
  const contestants: readonly Contestant[] = [
    { name: 'plaintext', cluster: plain, rounds: [], hashes: new Set() },
    { name: 'TLS', cluster: secure, rounds: [], hashes: new Set() },
  ];
  for (const contestant of contestants) await turn(contestant, job);
  for (let round = 0; round < Number(values.rounds); round++) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const contestant of order) contestant.rounds.push(await turn(contestant, job));
  }
  const [one, other] = contestants as readonly [Contestant, Contestant]; // there are two
  const ratios = one.rounds.map((ms, round) => (other.rounds[round] ?? Number.NaN) / ms);
  const table = new Table({ head: ['wire', 'median ms a step', 'each round'] });
  for (const { name, rounds } of contestants) {
    table.push([name, median(rounds).toFixed(2), rounds.map((ms) => ms.toFixed(2)).join(' ')]);
  }
  const hashes = new Set(contestants.flatMap((contestant) => [...contestant.hashes]));
  console.log(`W4 (${widths.join('-')}, batch ${batch}), two workers, ${cpus()[0]?.model}, Node ${process.version}`);
  console.log(table.toString());
  console.log(
    `TLS / plaintext: ${median(ratios).toFixed(3)} (rounds ${ratios.map((r) => r.toFixed(3)).join(' ')}); goal ${GOAL}`,
  );
  console.log(hashes.size === 1 ? 'the same weights' : `weights differ: ${[...hashes].join(' ')}`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
