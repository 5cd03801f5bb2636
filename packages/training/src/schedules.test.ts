/** Ten thousand schedules of the step protocol, each from its number alone: CONTRIBUTING.md says how to run one again. */
import { expect, test } from 'vitest';
import { runSimulation } from './simulated-cluster.fixture.js';
import { mulberry, range } from './simulated-receipts.fixture.js';
import type { SimulationOptions } from './simulation-options.fixture.js';

const SCHEDULES = 10_000;
const DEADLINE_MS = 120_000;
const GRAINS = ['step', 'run', 'mixed'] as const;

/** Job, cluster and faults of a schedule. Small jobs: what goes wrong does so within a few steps of a fault. */
function scheduleOf(number: number): SimulationOptions {
  const random = mulberry(number + 1);
  const below = (end: number): number => Math.floor(random() * end);
  const job = {
    train: 1 + below(60),
    validation: 3000 * below(3),
    test: below(40),
    batch: 1 + below(30),
  };
  // An epoch whose every step is left out ends the run: there have to be others.
  const skips = random() < 0.3 && job.train > 2 * job.batch ? [below(2), 2 + below(6)] : [];
  return {
    ...job,
    seed: number,
    microBatches: 2 ** below(4),
    epochs: 1 + below(2),
    workers: 1 + below(5),
    faults: 0.25 * random(),
    forgets: random() < 0.5,
    lies: random() < 0.5,
    grain: GRAINS[below(3)] ?? 'mixed',
    ...(random() < 0.3 ? { keep: 'best' as const } : {}),
    ...(random() < 0.3 ? { verify: random() } : {}),
    ...(random() < 0.3 ? { slow: 1 + below(30) } : {}),
    ...(random() < 0.2 ? { flips: 2 + below(9) } : {}),
    nonFinite: { steps: job.train / job.batch < 3 ? [] : skips, policy: 'skip' },
  };
}

/** What is wrong with the run of a schedule; undefined when it kept every promise. */
function problemOf(options: SimulationOptions): string | undefined {
  const { outcome, committed, epochs, steps, skipped } = runSimulation(options);
  if (outcome.kind !== 'finish') return `it failed: ${outcome.error.message}`;
  const order = committed.map(({ step }) => step).join();
  if (order !== range(0, steps).join()) return `steps were committed as ${order}, not one by one to ${steps}`;
  const micro = range(0, options.microBatches).join();
  const twice = committed.find(({ covered }) => covered.join() !== micro);
  if (twice !== undefined) return `step ${twice.step} has micro-batches ${twice.covered.join()}, not ${micro}`;
  const broken = range(0, steps).filter((step) => options.nonFinite?.steps.includes(step));
  if (skipped.join() !== broken.join()) return `steps ${skipped.join()} were left out, not ${broken.join()}`;
  const ended = epochs.map(({ epoch }) => epoch).join();
  return ended === range(0, options.epochs).join() ? undefined : `the epochs that ended are ${ended}`;
}

test(
  `${SCHEDULES} schedules all end, with every step once, in order, and every micro-batch of it exactly once`,
  () => {
    const wanted = process.env.ROPETEAM_TEST_SCHEDULE;
    for (const number of wanted === undefined ? range(0, SCHEDULES) : [Number(wanted)]) {
      const options = scheduleOf(number);
      const replay = `ROPETEAM_TEST_SCHEDULE=${number} npx vitest run dist/packages/training/src/schedules.test.js`;
      try {
        expect(problemOf(options)).toBeUndefined();
      } catch (cause) {
        throw new Error(`schedule ${number} (${JSON.stringify(options)}); again with: ${replay}`, { cause });
      }
    }
  },
  DEADLINE_MS,
);
