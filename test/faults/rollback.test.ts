/** F37: a run goes back from a step that is not finite, and its coordinator dies on the way. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readLedger } from '#storage';
import { runId } from '#training';
import type { TestJob } from '../support/cluster.js';
import { finished, openLives } from '../support/coordinator-life.js';
import { eventsOf } from '../support/fault-runs.js';

const RUN = runId('back');
const DEADLINE_MS = 60_000;

let directory = '';
let job: TestJob;
let calm: Awaited<ReturnType<typeof outcomeOf>>;

/** Trains to the end, one coordinator after the other: all but the last die at their failpoint. */
async function outcomeOf(grain: 'step' | 'run', deaths: readonly string[]) {
  await using lives = await openLives(grain);
  let life = await lives.live(deaths[0] === undefined ? {} : { failpoints: deaths[0] });
  await lives.submit(job, RUN);
  await Promise.all([lives.work(), lives.work()]);
  for (const next of [...deaths.slice(1), undefined].slice(0, deaths.length)) {
    expect((await life.ended).signal).toBe('SIGKILL');
    life = await lives.live(next === undefined ? {} : { failpoints: next });
  }
  const events = await lives.follow(RUN);
  const { weightsSha256, optimizerSha256, train } = finished(events);
  const last = (await readLedger(join(lives.runsDirectory, RUN, 'ledger.ndjson'))).at(-1);
  // How often it says so may differ: one that dies before it could, says nothing. What it did is in the ledger.
  return { events, result: { weightsSha256, optimizerSha256, train, rollbacks: last?.rollbacks } };
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ropeteam-rollback-'));
  const rows = Array.from({ length: 119 }, (_, row) => `${(row % 17) / 17},${((row * 7) % 17) / 17}`);
  await writeFile(join(directory, 'rows.csv'), `x,y\n${rows.join('\n')}\n`);
  job = {
    text: `apiVersion: ropeteam/v1
name: back
data: { source: rows.csv, target: y, scale: none, split: { validation: 0, test: 0 } }
model: { layers: [] }
train: { batch: 10, microBatches: 4, epochs: 12, onNonFinite: rollback, optimizer: { sgd: { learningRate: 3 } } }
checkpoint: { everySteps: 5 }
`,
    files: { 'rows.csv': join(directory, 'rows.csv') },
  };
  calm = await outcomeOf('step', []);
}, DEADLINE_MS);
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe('F37: a rollback', { timeout: DEADLINE_MS }, () => {
  test('happens in the calm run at all', () => {
    expect(eventsOf(calm, 'run_rolled_back').length).toBeGreaterThanOrEqual(1);
    expect(calm.result.rollbacks?.length).toBe(eventsOf(calm, 'run_rolled_back').length);
  });

  test.each([
    { when: 'right after it was written down', deaths: ['after-fence:2:kill'], grain: 'step' },
    {
      when: 'with the checkpoint it goes back to in its hands',
      deaths: ['after-checkpoint-loaded:1:kill'],
      grain: 'step',
    },
    {
      when: 'three times on the way',
      deaths: ['after-fence:2:kill', 'after-ledger-cut:1:kill', 'after-average:2:kill'],
      grain: 'step',
    },
    { when: 'while it makes leases', deaths: ['after-fence:2:kill', 'after-adopt:1:kill'], grain: 'run' },
  ] as const)(
    'whose coordinator dies $when ends with the same bits and the same way back',
    async ({ deaths, grain }) => {
      const { events, result } = await outcomeOf(grain, deaths);
      expect(result).toEqual(calm.result);
      expect(eventsOf({ events }, 'run_resumed').length).toBeGreaterThanOrEqual(1);
    },
  );
});
