/** Workers that die while they train. Every test compares the final weights with those of an undisturbed run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { samplePermutation } from '#kernel';
import { readLedger } from '#storage';
import type { RunEvent } from '#training';
import { type FinishedEvent, startTestCluster, type TestCluster } from '../support/cluster.js';
import { digitsJob } from '../support/jobs.js';

const SEEDS = Array.from({ length: 20 }, (_, seed) => seed);
const EPOCHS = 12;
const JOB = digitsJob({ epochs: EPOCHS });
/** Behind every kill: who watches hears of a step up to 70 ms late, and the run must not be over by then. */
const STEPS_LEFT = 36;

describe('a worker is SIGKILLed at a random step', () => {
  let cluster: TestCluster;
  let calm: FinishedEvent;

  beforeAll(async () => {
    cluster = await startTestCluster({ workers: 3 });
    calm = await cluster.finish(JOB);
  });
  afterAll(async () => {
    await cluster[Symbol.asyncDispose]();
  });

  /** Trains while one worker is killed when a step is committed; another is started in its place. */
  async function trainWithKill(
    seed: number,
  ): Promise<{ readonly finished: FinishedEvent; readonly lost: readonly RunEvent[] }> {
    const fatalStep = (seed * 7) % (calm.steps - STEPS_LEFT);
    const lost: RunEvent[] = [];
    let replaced: Promise<unknown> = Promise.resolve();
    const finished = await cluster.finish(JOB, (event) => {
      if (event.event === 'worker_lost') lost.push(event);
      if (event.event !== 'step_committed' || event.step !== fatalStep) return;
      const victim = cluster.workers[seed % cluster.workers.length];
      if (victim === undefined) throw new Error('there is no worker left to kill');
      replaced = cluster.killWorker(victim).then(() => cluster.startWorker());
    });
    await replaced;
    return { finished, lost };
  }

  test.for(SEEDS)('seed %i: the same weights and optimizer state as the calm run', async (seed) => {
    const { finished, lost } = await trainWithKill(seed);
    expect(lost).toHaveLength(1);
    expect(finished.weightsSha256).toBe(calm.weightsSha256);
    expect(finished.optimizerSha256).toBe(calm.optimizerSha256);
    expect(finished.test).toEqual(calm.test);
  });

  test('the ledger of a run with a kill holds every sample of every epoch exactly once', async () => {
    const { finished } = await trainWithKill(5);
    const folder = join(cluster.runsDirectory, finished.run);
    const records = await readLedger(join(folder, 'ledger.ndjson'));
    expect(records.map(({ step }) => step)).toEqual(Array.from({ length: finished.steps }, (_, step) => step));
    const events = (await readFile(join(folder, 'events.ndjson'), 'utf8')).trim().split('\n');
    const started: unknown = events.map((line) => JSON.parse(line)).find(({ event }) => event === 'run_started');
    expect(started).toMatchObject({ samples: { train: 1437 } });
    const seen = new Map<number, number[]>();
    for (const record of records) {
      const sampleAt = samplePermutation(7, record.epoch, 1437);
      const covered = record.blocks.flatMap(({ begin, end }) =>
        Array.from({ length: end - begin }, (_, i) => begin + i),
      );
      expect(covered.sort((left, right) => left - right)).toEqual(covered.map((_, index) => index));
      expect(record.blocks.reduce((sum, block) => sum + block.samples, 0)).toBe(
        record.endPosition - record.firstPosition,
      );
      const samples = seen.get(record.epoch) ?? [];
      for (let position = record.firstPosition; position < record.endPosition; position++)
        samples.push(sampleAt(position));
      seen.set(record.epoch, samples);
    }
    expect(seen.size).toBe(EPOCHS);
    for (const samples of seen.values()) {
      expect(samples.sort((left, right) => left - right)).toEqual(Array.from({ length: 1437 }, (_, index) => index));
    }
    expect(finished.weightsSha256).toBe(calm.weightsSha256);
  });
});
