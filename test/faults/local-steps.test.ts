/** Local steps keep the promise: replicas are the job's, so the weights are the same whoever trained them, and whatever died. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { openRunFolder, readLedger } from '#storage';
import { type RunEvent, runId } from '#training';
import { checkRun } from '../../cli/src/verification/check-run.js';
import { readEvidence } from '../../cli/src/verification/evidence.js';
import { type FinishedEvent, startTestCluster, type TestClusterOptions } from '../support/cluster.js';
import { finished, openLives } from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';

/** 1437 rows: an epoch is two rounds of six local steps, the second of them short. */
const LOCAL = { localSteps: '{ steps: 6, replicas: 4, outer: { learningRate: 0.7, momentum: 0.5 } }', batch: 128 };
const JOB = digitsJob({ ...LOCAL, epochs: 5 }, '[{ dense: 32 }, relu, { dropout: 0.1 }]');
const DEADLINE_MS = 120_000;

const bitsOf = ({ weightsSha256, optimizerSha256 }: FinishedEvent) => ({ weightsSha256, optimizerSha256 });

async function train(options: TestClusterOptions, onEvent?: (event: RunEvent) => void): Promise<FinishedEvent> {
  await using cluster = await startTestCluster(options);
  const end = await cluster.finish(JOB, onEvent);
  const evidence = await readEvidence(await openRunFolder(cluster.runsDirectory, runId(end.run)));
  expect(checkRun(evidence).filter(({ outcome }) => outcome === 'broken')).toEqual([]);
  return end;
}

let calm: FinishedEvent;
beforeAll(async () => {
  const started: RunEvent[] = [];
  calm = await train({ workers: 1 }, (event) => {
    if (event.event === 'run_started' || event.event === 'grain_chosen') started.push(event);
  });
  expect(started).toMatchObject([
    { event: 'run_started', steps: 10, batch: 768, localSteps: { steps: 6, replicas: 4, batch: 32 } },
    { event: 'grain_chosen', grain: 'step', reason: expect.stringContaining('replicas') },
  ]);
  expect(calm.steps).toBe(10);
  expect(calm.test?.accuracy).toBeGreaterThan(0.85);
}, DEADLINE_MS);

test(
  'the weights and the outer momentum are the same for any number of workers and threads, whatever the grain',
  async () => {
    for (const options of [
      { workers: 2, threads: 2 },
      { workers: 3, grain: 'auto' },
      { workers: 4, grain: 'run' },
    ] as const) {
      expect(bitsOf(await train(options)), JSON.stringify(options)).toEqual(bitsOf(calm));
    }
  },
  DEADLINE_MS,
);

test(
  'a worker that dies with its replicas trained and not sent changes no bit',
  async () => {
    await using cluster = await startTestCluster({ workers: 2 });
    await cluster.startWorker({ failpoints: 'worker-after-compute:2:kill' });
    const lost: RunEvent[] = [];
    const end = await cluster.finish(JOB, (event) => {
      if (event.event === 'worker_lost') lost.push(event);
    });
    expect(lost).toHaveLength(1);
    expect(bitsOf(end)).toEqual(bitsOf(calm));
  },
  DEADLINE_MS,
);

test(
  'a coordinator that dies between rounds is followed by one that ends with the same weights',
  async () => {
    const saved = { ...JOB, text: `${JOB.text}checkpoint: { everySteps: 2, every: 10ms, keep: 1 }\n` };
    await using lives = await openLives();
    const born = await lives.live({ failpoints: 'after-commit:5:kill' });
    for (let worker = 0; worker < 2; worker++) lives.work().catch(() => undefined); // it may die before it has welcomed them
    const run = runId('rounds');
    const following = lives.submit(saved, run).then(() => lives.follow(run));
    following.catch(() => undefined); // awaited below
    expect((await born.ended).signal).toBe('SIGKILL');
    await lives.live();
    const events = await following;
    expect(bitsOf(finished(events))).toEqual(bitsOf(calm));
    const steps = events.flatMap((event) => (event.event === 'step_committed' ? [event.step] : []));
    expect(steps).toEqual(steps.map((_, index) => index));
    const ledger = await readLedger(join(lives.runsDirectory, run, 'ledger.ndjson'));
    expect(ledger.map(({ step }) => step)).toEqual(Array.from({ length: 10 }, (_, step) => step));
  },
  DEADLINE_MS,
);
