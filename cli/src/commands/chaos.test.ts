import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { finished, started } from '../progress/run-events.fixture.js';
import { recordContext } from '../terminal.fixture.js';
import { type ChaosOptions, chaos } from './chaos.js';
import type { FinalEvent } from './follow-run.js';
import type { trainLocally } from './local-run.js';

const job = fileURLToPath(new URL('../../../../examples/linear-regression/job.yaml', import.meta.url));
const options: ChaosOptions = {
  ...{ set: [], seed: 3, every: '2s', faults: 'worker-kill,redis-flush', workers: 3, kernel: 'wasm', grain: 'auto' },
  ...{ out: 'runs', json: false, verbose: false },
};

/** Trains nothing: both runs end as told. */
function imaginary(calm: FinalEvent, disturbed: FinalEvent) {
  const runs: string[] = [];
  const train: typeof trainLocally = async ({ run, reporter, context, nemesis }) => {
    runs.push(run);
    const last = nemesis === undefined ? calm : disturbed;
    expect(context.environment.redisUrl).toBeUndefined();
    for (const event of [started, last]) reporter?.event(event);
    return last;
  };
  return { train, runs };
}
const end = finished as FinalEvent; // the fixture's own kind of event

test('the same hashes: exit 0, and the command that replays it', async () => {
  const { context, results } = recordContext({ variables: { ROPETEAM_REDIS_URL: 'redis://not-ours' } });
  const { train, runs } = imaginary(end, end);
  expect(await chaos(job, options, context, train)).toBe(0);
  expect(results()).toMatch(/same bits +YES/);
  expect(results()).toContain('--seed 3 --workers 3 --every 2s --faults worker-kill,redis-flush');
  expect(runs).toEqual([expect.stringMatching(/-calm$/), expect.stringMatching(/-chaos$/)]);
});

test.each(['weightsSha256', 'optimizerSha256'] as const)('another %s: exit 1', async (hash) => {
  const { context, results } = recordContext();
  const { train } = imaginary(end, { ...end, [hash]: 'f'.repeat(64) });
  expect(await chaos(job, { ...options, json: true }, context, train)).toBe(1);
  const last: unknown = JSON.parse(results().trim().split('\n').at(-1) ?? '');
  expect(last).toMatchObject({ event: 'chaos_finished', sameBits: false, seed: 3, everyMs: 2000 });
});

test('a run that fails under the faults: exit 1', async () => {
  const { context, talk } = recordContext();
  const failure = { code: 'INTEGRITY.REPLAY', message: 'step 7 has other weights', facts: { step: 7 } } as const;
  const failed = { ...failure, event: 'run_failed', time: end.time, run: end.run } as unknown as FinalEvent; // no other fact is read
  expect(await chaos(job, options, context, imaginary(end, failed).train)).toBe(1);
  expect(talk()).toContain('step 7 has other weights');
});

test.each([
  [{ every: '5' }, '--every 5'],
  [{ every: '1ms' }, 'at least 100ms'],
  [{ faults: 'worker-kill,meteor' }, 'there is no fault meteor'],
])('%o is refused before anything is trained', async (wrong, message) => {
  const { context } = recordContext();
  const { train, runs } = imaginary(end, end);
  await expect(chaos(job, { ...options, ...wrong }, context, train)).rejects.toThrow(message);
  expect(runs).toEqual([]);
});
