/** What becomes of a step whose mean gradient or loss holds NaN or an infinity: it never reaches the weights. */
import type { OptimizerSpec, ScheduleSpec } from '#kernel';
import { learningRateAt } from '#kernel';
import { RopeteamError, toEnvelope } from './errors.js';
import { step as toStep } from './identities.js';
import { loweredRate } from './lowered-rate.js';
import type { NonFinite, RunEffect, RunState } from './run-state.js';
import { releaseAll } from './run-state.js';
import { doubt, opinionOf } from './second-opinions.js';
import { blockKey, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/** Steps that may be left out one after the other: then it is the run that is broken, not a batch. */
const MOST_SKIPPED_IN_A_ROW = 10;
/** How often a run goes back, each time with half the learning rate. */
export const MOST_ROLLBACKS = 2;

/**
 * A step that is not finite is computed once more before it is believed, by other workers where there are any: one worker
 * with a broken memory must not decide what becomes of a run.
 */
export function confirmFirst(now: RunState): Advance {
  let state: RunState = { ...now, phase: 'training', confirming: now.version };
  const effects: RunEffect[] = [];
  for (const held of now.items.values()) {
    const { item, receipt } = held;
    if (item.kind !== 'gradient' || item.step !== now.version || receipt === undefined) continue;
    const [next, more] = doubt(state, held, [opinionOf(receipt)], 'nonfinite');
    state = next;
    effects.push(...more);
  }
  return [state, effects];
}

/** What the job wants: `commit` leaves the step's update out, and with it what its samples add to the epoch. */
export function applyPolicy(
  now: RunState,
  trouble: NonFinite | undefined,
  commit: (now: RunState, trouble: NonFinite) => Advance,
): Advance {
  const known = trouble ?? { learningRate: Number.NaN, gradientNorm: Number.NaN, loss: Number.NaN };
  switch (now.onNonFinite) {
    case 'stop':
      return failNonFinite(now, known);
    case 'skip': {
      const skippedInARow = now.skippedInARow + 1;
      if (skippedInARow > MOST_SKIPPED_IN_A_ROW) {
        return failNonFinite(now, known, `; ${MOST_SKIPPED_IN_A_ROW} steps before it were left out already`);
      }
      return commit({ ...now, skippedInARow }, known);
    }
    case 'rollback': {
      const to = rollbackTarget(now);
      if (to === undefined) return failNonFinite(now, known, '; there is no state before it to go back to');
      if (now.rollbacks >= MOST_ROLLBACKS) {
        return failNonFinite(
          now,
          known,
          `; the run went back ${now.rollbacks} times already, each time to half the rate`,
        );
      }
      const ended: RunState = { ...now, phase: 'ended', items: new Map() };
      return [
        ended,
        [{ kind: 'withdraw' }, ...releaseAll(now), { kind: 'roll-back', step: now.version, to, trouble: known }],
      ];
    }
    default:
      return now.onNonFinite satisfies never;
  }
}

/** The newest state that is saved whatever the time is: after a multiple of `checkpoint.everySteps`, or the first weights. */
function rollbackTarget({ version, shape }: RunState): RunState['version'] | undefined {
  if (version === 0 || shape.saveEverySteps === undefined) return undefined;
  return toStep(shape.saveEverySteps * Math.floor((version - 1) / shape.saveEverySteps));
}

/** A mean gradient with NaN or an infinity never reaches the weights: the run ends before the update. */
export function failNonFinite(now: RunState, trouble: NonFinite, because = ''): Advance {
  const { block, tensor, learningRate } = trouble;
  const error = new RopeteamError(
    'RUN.NONFINITE',
    {
      step: now.version,
      ...(block === undefined ? {} : { block: blockKey(block) }),
      ...(tensor === undefined ? {} : { tensor }),
      ...(Number.isFinite(learningRate) ? { learningRate } : {}),
    },
    `the mean gradient or loss of step ${now.version} holds NaN or an infinity (${describe(trouble)}); the weights were left as they were before it${because}`,
    { hint: 'lower the learning rate, set train.clipNorm, or choose another train.onNonFinite' },
  );
  return [
    { ...now, phase: 'ended', items: new Map() },
    [{ kind: 'withdraw' }, ...releaseAll(now), { kind: 'fail', error: toEnvelope(error) }],
  ];
}

/** `first in block 0-4, tensor dense1.weights; norm NaN, loss 2.3, learning rate 0.01` */
export function describe({ block, tensor, gradientNorm, loss, learningRate }: NonFinite): string {
  const where = [
    block === undefined ? 'in the sum of its blocks' : `first in block ${blockKey(block)}`,
    ...(tensor === undefined ? [] : [`tensor ${tensor}`]),
  ];
  return `${where.join(', ')}; norm ${gradientNorm}, loss ${loss}, learning rate ${learningRate}`;
}

/**
 * Drops what is announced of this version and later, and has this one step made from blocks: a lease came to a step that is
 * not finite, and its worker's word alone is not enough. Measurements that are in are kept.
 */
export function openStepFor(now: RunState): Advance {
  const kept = [...now.items].filter(
    ([, { item, receipt }]) => item.kind === 'evaluation' && versionOf(item) === now.version && receipt !== undefined,
  );
  const dropped = new Map([...now.items].filter(([key]) => !kept.some(([kept]) => kept === key)));
  const highest = Math.max(now.firstIssue, ...[...dropped.values()].map(({ item }) => item.issue));
  const state: RunState = {
    ...now,
    items: new Map(kept),
    announced: now.version,
    openStep: now.version,
    firstIssue: highest + 1,
  };
  return [state, [{ kind: 'withdraw' }, ...releaseAll({ ...now, items: dropped })]];
}

/** The learning rate of a step after the run went back to these steps: half of the schedule's for each it lies behind. */
export function rateOf(
  { schedule, optimizer }: { readonly schedule: ScheduleSpec; readonly optimizer: OptimizerSpec },
  rollbacks: readonly number[],
  step: number,
  totalSteps: number,
): number {
  return loweredRate(learningRateAt(schedule, optimizer, step, totalSteps), rollbacks, step);
}
