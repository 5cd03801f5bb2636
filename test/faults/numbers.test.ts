/** F22, F25, F37: NaN and infinities never reach the weights, and what the job asks for happens, with the same bits for any workers. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readLedger } from '#storage';
import type { RunEvent } from '#training';
import { startTestCluster, type TestCluster, type TestJob } from '../support/cluster.js';
import { runCommand } from '../support/command.js';
import { eventsOf } from '../support/fault-runs.js';

const DEADLINE_MS = 120_000;
/** Its gradient is an infinity, whatever the weights are. */
const BROKEN_ROW = 37;
const ROWS = 120;

let directory = '';
let stepwise: TestCluster;
let alone: TestCluster;
let leasing: TestCluster;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ropeteam-numbers-'));
  const rows = Array.from({ length: ROWS }, (_, row) =>
    row === BROKEN_ROW ? '1e30,1e30' : `${(row % 17) / 17},${((row * 7) % 17) / 17}`,
  );
  await writeFile(join(directory, 'rows.csv'), `x,y\n${rows.join('\n')}\n`);
  await writeFile(join(directory, 'sound.csv'), `x,y\n${rows.filter((_, row) => row !== BROKEN_ROW).join('\n')}\n`);
  [stepwise, alone, leasing] = await Promise.all([
    startTestCluster({ workers: 3 }),
    startTestCluster({ workers: 1 }),
    startTestCluster({ workers: 2, grain: 'run' }),
  ]);
}, DEADLINE_MS);
afterAll(async () => {
  for (const cluster of [stepwise, alone, leasing]) await cluster[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
}, DEADLINE_MS);

function job(train: string, file = 'rows.csv', rest = ''): TestJob {
  return {
    text: `apiVersion: ropeteam/v1
name: numbers
data: { source: ${file}, target: y, scale: none, split: { validation: 0, test: 0 } }
model: { layers: [] }
train: { batch: 10, microBatches: 4, ${train} }
${rest}`,
    files: { [file]: join(directory, file) },
  };
}

async function trained(cluster: TestCluster, of: TestJob) {
  const events: RunEvent[] = [];
  const last = await cluster.run(of, (event) => void events.push(event));
  const folder = join(cluster.runsDirectory, last.run);
  return { last, events, folder, records: await readLedger(join(folder, 'ledger.ndjson')) };
}

async function verified(folder: string, ...words: readonly string[]): Promise<void> {
  const { code, stdout } = await runCommand(
    ['verify', folder, '--recompute', '200', '--data', directory, ...words],
    {},
  );
  expect(code, stdout).toBe(0);
}

describe('F37 a step that is not finite', { timeout: DEADLINE_MS }, () => {
  test('ends the run and names step, block, tensor, rate and norm; it was computed twice, and no weight was touched', async () => {
    const { last, folder } = await trained(stepwise, job('epochs: 3, optimizer: { sgd: { learningRate: 0.1 } }'));
    expect(last).toMatchObject({
      event: 'run_failed',
      code: 'RUN.NONFINITE',
      facts: { block: expect.stringMatching(/^\d-\d$/), tensor: 'layers.0.weight', learningRate: 0.1 },
    });
    expect(last.event === 'run_failed' && last.message).toMatch(
      /step \d+ .*block .*tensor .*norm .*learning rate 0\.1/,
    );
    await verified(folder);
  });

  test('is left out with skip: the same bits for one worker, three, and leases, and `verify` computes them again', async () => {
    const skipping = job('epochs: 4, onNonFinite: skip, optimizer: { momentum: { learningRate: 0.05 } }');
    const runs = [];
    for (const cluster of [stepwise, alone, leasing]) runs.push(await trained(cluster, skipping));
    const [first, ...others] = runs;
    for (const { last, events, records, folder } of runs) {
      expect(last).toMatchObject({ event: 'run_finished', steps: 48 });
      expect(eventsOf({ events }, 'step_skipped').map(({ epoch }) => epoch)).toEqual([0, 1, 2, 3]);
      const left = records.filter(({ skipped }) => skipped !== undefined);
      expect(left.map(({ step }) => step)).toEqual(eventsOf({ events }, 'step_skipped').map(({ step }) => step));
      for (const { step, weights } of left) expect(weights).toBe(records[step - 1]?.weights ?? weights);
      await verified(folder);
    }
    for (const { last } of others) {
      if (last.event !== 'run_finished' || first?.last.event !== 'run_finished') throw new Error('it did not finish');
      expect(last.weightsSha256).toBe(first.last.weightsSha256);
      expect(last.optimizerSha256).toBe(first.last.optimizerSha256);
      expect(last.train).toEqual(first.last.train);
    }
  });

  test('brings the run back to a saved step with half the rate: the same bits step by step and in leases', async () => {
    const back = job(
      'epochs: 12, onNonFinite: rollback, optimizer: { sgd: { learningRate: 3 } }',
      'sound.csv',
      'checkpoint: { everySteps: 5 }',
    );
    const runs = [];
    for (const cluster of [stepwise, leasing]) runs.push(await trained(cluster, back));
    for (const { last, events, folder, records } of runs) {
      const told = eventsOf({ events }, 'run_rolled_back');
      expect(told.length, JSON.stringify(last)).toBeGreaterThanOrEqual(1);
      expect(told[0]?.toStep).toBe(5 * Math.floor(((told[0]?.step ?? 0) - 1) / 5));
      expect(last.event, JSON.stringify([last, told])).toBe('run_finished');
      expect(records.at(-1)?.rollbacks).toEqual(told.map(({ toStep }) => toStep));
      await verified(folder);
    }
    const [shared, leased] = runs.map(({ last }) => last);
    if (shared?.event !== 'run_finished' || leased?.event !== 'run_finished') throw new Error('it did not finish');
    expect(leased.weightsSha256).toBe(shared.weightsSha256);
    expect(await readFile(join(runs[0]?.folder ?? '', 'rollbacks.json'), 'utf8')).toContain('"to"');
  });
});
