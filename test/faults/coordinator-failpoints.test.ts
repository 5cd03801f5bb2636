/** F28: the coordinator is killed at every named place; the run ends with the bits of a run that nobody disturbed. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readLedger } from '#storage';
import { FAILPOINTS, type RunEvent, runId } from '#training';
import {
  calmRun,
  EndedEarly,
  finished,
  hashesOf,
  type Lives,
  openLives,
  type RunHashes,
} from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';

const RUN = runId('killed');
/** 1797 rows, a tenth each for validation and test: six steps an epoch, and a checkpoint that stays every four steps. */
const job = digitsJob({ epochs: 6, batch: 256, microBatches: 4 }, '[{ dense: 16 }, relu]');
const saved = { ...job, text: `${job.text}checkpoint: { everySteps: 4, every: 10ms, keep: 1 }\n` };

/** Which time it is passed, where the first time is none to learn from. */
const TIMES: Readonly<Record<string, number>> = {
  'before-announce': 2,
  'after-announce': 2,
  'before-broadcast': 3,
  'mid-broadcast': 3,
  'after-first-gradient': 6,
  'before-average': 6,
  'after-average': 6,
  'after-commit': 6,
  'after-ledger-append': 6,
  'after-log-write': 4,
  'before-rename': 6,
  'after-rename': 6,
  'mid-checkpoint': 6,
};
/** Passed only by a coordinator that recovers: the one before it is killed in training. */
const IN_RECOVERY = [
  'during-recovery-scan',
  'after-checkpoint-loaded',
  'after-lock',
  'after-fence',
  'after-ledger-cut',
];
const LEASED = ['after-adopt'];
/** Passed only where runs are copied to object storage: `run-copies.test.ts`. */
const COPYING = ['before-piece-copied', 'before-manifest', 'after-manifest', 'before-piece-fetched'];
const names = Object.keys(FAILPOINTS.coordinator).filter((name) => !COPYING.includes(name));

let calm: RunHashes;
beforeAll(async () => {
  calm = await calmRun(saved, RUN);
}, 60_000);

const recoveries: number[] = [];
afterAll(() => {
  const sorted = recoveries.toSorted((a, b) => a - b);
  const shown = (share: number): string => `${Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0)} ms`;
  process.stdout.write(`restart to next step: median ${shown(0.5)}, slowest ${shown(1)}, of ${sorted.length}\n`);
});

describe.concurrent('a coordinator that is killed', { timeout: 60_000 }, () => {
  test('has at least 24 places to be killed at', () => {
    expect(names.length).toBeGreaterThanOrEqual(24);
  });

  for (const name of names.filter((one) => !IN_RECOVERY.includes(one))) {
    test(`at ${name} leaves a run that ends with the same weights`, async () => {
      await using lives = await openLives(LEASED.includes(name) ? 'run' : 'step');
      await expectSameBits(lives, [`${name}:${TIMES[name] ?? 1}:kill`]);
    });
  }

  for (const name of IN_RECOVERY) {
    test(`in training and again at ${name} leaves a run that ends with the same weights`, async () => {
      await using lives = await openLives();
      await expectSameBits(lives, ['before-retention:1:kill', `${name}:1:kill`]);
    });
  }
});

/** One life after the other is killed where its failpoint says; the last one is left alone. */
async function expectSameBits(lives: Lives, deaths: readonly string[]): Promise<void> {
  const [first, ...others] = deaths;
  const born = await lives.live({ failpoints: first ?? '' });
  // Not awaited: the coordinator may die before it has welcomed them.
  for (let worker = 0; worker < 2; worker++) lives.work().catch(() => undefined);
  const following = lives.submit(saved, RUN).then(() => lives.follow(RUN));
  following.catch(() => undefined); // awaited below, after the deaths
  expect((await born.ended).signal, 'the failpoint is passed').toBe('SIGKILL');
  for (const failpoints of others) {
    const died = await lives.live({ failpoints }).then(
      (life) => life.ended,
      (error: unknown) => (error instanceof EndedEarly ? error.exit : Promise.reject(error)),
    );
    expect(died.signal, 'the failpoint of recovery is passed').toBe('SIGKILL');
  }
  const restartedAt = Date.now();
  await lives.live();
  const events = await following;
  expect(hashesOf(finished(events))).toEqual(calm);
  expectEachStepOnce(events);
  const next = events.find(({ event, time }) => event === 'step_committed' && Date.parse(time) >= restartedAt);
  if (next !== undefined) recoveries.push(Date.parse(next.time) - restartedAt);
  const ledger = await readLedger(join(lives.runsDirectory, RUN, 'ledger.ndjson'));
  expect(ledger.map(({ step }) => step)).toEqual(ledger.map((_, index) => index));
}

function expectEachStepOnce(events: readonly RunEvent[]): void {
  const steps = events.flatMap((event) => (event.event === 'step_committed' ? [event.step] : []));
  expect(steps).toEqual(steps.map((_, index) => index));
}
