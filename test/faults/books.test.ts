/** One run with faults, told four times: as events, in the ledger, as metrics, on the disk. They must agree to the last one. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLedger } from '#storage';
import type { LedgerRecord } from '#training';
import {
  type FinishedEvent,
  startTestCluster,
  type TestCluster,
  type TestJob,
  type TestWorker,
} from '../support/cluster.js';
import { type DisturbedRun, eventsOf, expectSameBits, trainAndDisturb } from '../support/fault-runs.js';
import { digitsJob } from '../support/jobs.js';

const SAMPLES = 1437;
/** Some ten seconds: a worker that fell silent is given up after three, another has started before. */
const EPOCHS = 60;
const JOB = digitsJob({ epochs: EPOCHS, batch: 64, microBatches: 4 }, '[{ dense: 32 }, relu]');
/** Validation after each epoch and the test at the end: both splits are small enough to be measured in one piece. */
const EVALUATIONS = EPOCHS + 1;
const SAVED_OFTEN: TestJob = { ...JOB, text: `${JOB.text}checkpoint: { everySteps: 40, keep: 3 }\n` };

let cluster: TestCluster;
let calm: FinishedEvent;
let run: DisturbedRun;
let ledger: readonly LedgerRecord[];
/** Value by series, before the run and after it. */
let before: ReadonlyMap<string, number>;
let after: ReadonlyMap<string, number>;
/** What lies in the worker that computed to the end, counted by itself. */
let workers: readonly ReadonlyMap<string, number>[];

beforeAll(async () => {
  cluster = await startTestCluster({ workers: 3 });
  calm = await cluster.finish(SAVED_OFTEN);
  before = await scrape(cluster.http);
  run = await trainAndDisturb(
    cluster,
    20,
    async ({ events, next }) => {
      const [first, second] = cluster.workers;
      if (first === undefined || second === undefined) throw new Error('there are no workers');
      const seen = events.length;
      await cluster.killWorker(first);
      await next('worker_lost', seen);
      const since = events.length;
      await cluster.startWorker();
      await next('worker_joined', since);
      await frozenUntilLost(second, () => next('worker_lost', since));
    },
    SAVED_OFTEN,
  );
  after = await scrape(cluster.http);
  ledger = await readLedger(join(cluster.runsDirectory, run.finished.run, 'ledger.ndjson'));
  const listed = await (await fetch(`${cluster.http}/targets`)).text();
  const targets: readonly { readonly targets: readonly string[] }[] = JSON.parse(listed);
  workers = await Promise.all(targets.flatMap(({ targets: each }) => each.map((target) => scrape(`http://${target}`))));
}, 120_000);
afterAll(() => cluster[Symbol.asyncDispose]());

/** Stopped in the middle of its work: what it computed comes after its blocks went to others. */
async function frozenUntilLost(worker: TestWorker, lost: () => Promise<unknown>): Promise<void> {
  worker.process.kill('SIGSTOP');
  try {
    await lost();
  } finally {
    worker.process.kill('SIGCONT');
  }
}

async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const samples = text.matchAll(/^(ropeteam_\S+) (\S+)$/gm);
  return new Map([...samples].map(([, series, value]) => [series ?? '', Number(value)]));
}

/** What a counter rose by during the run, over all its series. */
function rise(counter: string): number {
  const sum = (series: ReadonlyMap<string, number>): number =>
    [...series].reduce((total, [name, value]) => (name.split('{')[0] === counter ? total + value : total), 0);
  return sum(after) - sum(before);
}

const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

test('the faults cost no bit', () => {
  expectSameBits(run.finished, calm);
  expect(run.finished.workersLost).toBe(2);
});

test('steps: events, ledger, metrics and the end of the run', () => {
  const told = eventsOf(run, 'step_committed');
  expect(told.map(({ step }) => step)).toEqual(ledger.map(({ step }) => step));
  expect(run.finished.steps).toBe(ledger.length);
  expect(rise('ropeteam_steps_committed_total')).toBe(ledger.length);
  expect(rise('ropeteam_ledger_records_total')).toBe(ledger.length);
  expect(after.get('ropeteam_weight_version')).toBe(ledger.length);
});

test('samples: every one of every epoch, once', () => {
  const told = eventsOf(run, 'step_committed');
  expect(sumOf(told.map(({ samples }) => samples))).toBe(SAMPLES * EPOCHS);
  expect(sumOf(ledger.map(({ samples }) => samples))).toBe(SAMPLES * EPOCHS);
  expect(sumOf(ledger.flatMap(({ blocks }) => blocks.map(({ samples }) => samples)))).toBe(SAMPLES * EPOCHS);
  expect(rise('ropeteam_samples_committed_total')).toBe(SAMPLES * EPOCHS);
});

test('losses: the same figure of each step in the event and the ledger, the mean of an epoch in the next event', () => {
  const told = eventsOf(run, 'step_committed');
  expect(told.map(({ loss, gradientNorm, learningRate }) => [loss, gradientNorm, learningRate])).toEqual(
    ledger.map(({ loss, gradientNorm, learningRate }) => [loss, gradientNorm, learningRate]),
  );
  expect(after.get('ropeteam_training_loss')).toBe(ledger.at(-1)?.loss);
  const epochs = eventsOf(run, 'epoch_finished');
  expect(epochs).toHaveLength(EPOCHS);
  for (const { epoch, train } of epochs) {
    const blocks = ledger.filter((record) => record.epoch === epoch).flatMap((record) => record.blocks);
    expect(train.loss).toBeCloseTo(sumOf(blocks.map(({ lossSum }) => lossSum)) / SAMPLES, 9);
  }
  expect(after.get('ropeteam_epoch_loss')).toBe(epochs.at(-1)?.train.loss);
});

test('blocks: each of the ledger was accepted, once; what came twice or too late is counted apart', () => {
  const recorded = sumOf(ledger.map(({ blocks }) => blocks.length));
  const received = (outcome: string): number => {
    const series = `ropeteam_gradients_received_total{outcome="${outcome}"}`;
    return (after.get(series) ?? Number.NaN) - (before.get(series) ?? Number.NaN);
  };
  expect(received('accepted')).toBe(recorded + EVALUATIONS);
  expect(received('conflicting')).toBe(0);
  // Only what was handed out again can come a second time, from whoever had it first.
  expect(received('duplicate') + received('stale')).toBeLessThanOrEqual(run.finished.blocksReissued);
});

test('workers: every loss in events, metrics and the end; every block handed out again', () => {
  const lost = eventsOf(run, 'worker_lost');
  expect(lost).toHaveLength(run.finished.workersLost);
  expect(rise('ropeteam_workers_lost_total')).toBe(lost.length);
  const [killed, frozen] = lost;
  expect(killed?.detectedInMs).toBe(0);
  expect(frozen?.detectedInMs).toBeGreaterThan(0);
  expect(rise('ropeteam_blocks_reissued_total')).toBe(run.finished.blocksReissued);
  expect(sumOf(lost.map(({ blocksReissued }) => blocksReissued))).toBeLessThanOrEqual(run.finished.blocksReissued);
  // What workers were measured by adds up to what they did by the ledger, up to the last second.
  const measured = eventsOf(run, 'workers_measured').flatMap((event) => event.workers);
  for (const worker of new Set(measured.map((measure) => measure.worker))) {
    const blocks = ledger.flatMap((record) => record.blocks).filter((block) => block.worker === worker);
    const told = sumOf(measured.filter((measure) => measure.worker === worker).map(({ samples }) => samples));
    expect(told).toBeGreaterThan(0);
    expect(told).toBeLessThanOrEqual(sumOf(blocks.map(({ samples }) => samples)));
  }
});

test('checkpoints: each event is a file of that size, or was one before a newer one took its place', async () => {
  const saved = eventsOf(run, 'checkpoint_saved');
  expect(saved.map(({ step }) => step)).toContain(run.finished.steps);
  expect(rise('ropeteam_checkpoint_duration_seconds_count')).toBe(saved.length);
  expect(rise('ropeteam_checkpoints_failed_total')).toBe(eventsOf(run, 'checkpoint_failed').length);
  expect(after.get('ropeteam_checkpoint_bytes')).toBe(saved.at(-1)?.bytes);
  const last = saved.at(-1);
  expect((await stat(last?.path ?? '')).size).toBe(last?.bytes);
});

test('bytes: gradients that workers sent are no more than the coordinator received, and it received them all', () => {
  const received = after.get('ropeteam_wire_bytes_total{direction="received"}') ?? 0;
  const sent = sumOf(workers.map((each) => each.get('ropeteam_worker_payload_bytes_total{direction="sent"}') ?? 0));
  const blocks = sumOf(workers.map((each) => each.get('ropeteam_worker_blocks_total') ?? 0));
  const parameters = after.get('ropeteam_run_parameters') ?? 0;
  expect(sent).toBe(blocks * parameters * Float32Array.BYTES_PER_ELEMENT);
  expect(received).toBeGreaterThan(sent);
});

test('the file of events is what was told', async () => {
  const text = await readFile(join(cluster.runsDirectory, run.finished.run, 'events.ndjson'), 'utf8');
  expect(
    text
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
  ).toEqual(run.events);
});
