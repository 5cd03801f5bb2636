/** When an item is taken to be the cause of the failures around it, and how that ends the run. */
import { RopeteamError, toEnvelope } from './errors.js';
import type { WorkerId } from './identities.js';
import type { ItemState, RunEffect, RunState } from './run-state.js';
import { releaseAll } from './run-state.js';
import { blockKey, itemKey, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/**
 * Different workers that may die or fail over a block or a part of an evaluation before it, not they, is taken to be the
 * cause. A lease is held for much longer, and deaths that have nothing to do with it meet it more often.
 */
const MOST_WORKERS = 3;
/** Failures of one item at the most, whoever had it: a worker alone must not fail over it for ever. */
const MOST_FAILURES = 5;
/**
 * Deaths of one item that are excused for each worker that was lost elsewhere within `LATELY_MS`: where workers die that
 * did not have it, most of those that did died of the same. At most so many of these count.
 */
const EXCUSED_FOR_EACH = 3;
const MOST_EXCUSES = 4;
const LATELY_MS = 60_000;
/** Losses that are remembered. */
const REMEMBERED = 64;

/** The same item after it failed on a worker once more: the worker said so, or was lost. */
export function withFailure(held: ItemState, worker: WorkerId, how: 'said' | 'lost'): ItemState {
  const losses = (held.losses ?? 0) + (how === 'lost' ? 1 : 0);
  return { ...held, failedOn: [...held.failedOn, worker], ...(losses === 0 ? {} : { losses }) };
}

/** A worker was lost. @param keys of the items it had in hand and was wanted for; none: it had nothing to die of */
export function withLoss(now: RunState, keys: readonly string[]): RunState {
  const of = keys.length === 0 ? [{ atMs: now.clockMs }] : keys.map((key) => ({ atMs: now.clockMs, key }));
  return { ...now, losses: [...now.losses, ...of].slice(-REMEMBERED) };
}

/** Whether an item that failed so often is itself the cause. */
export function isPoison(now: RunState, { item, failedOn, losses = 0 }: ItemState): boolean {
  const key = itemKey(item);
  const elsewhere = now.losses.filter((loss) => loss.key !== key && now.clockMs - loss.atMs <= LATELY_MS).length;
  const excused = EXCUSED_FOR_EACH * Math.min(elsewhere, MOST_EXCUSES);
  const said = failedOn.length - losses;
  const charged = said + Math.max(0, losses - excused);
  if (charged >= MOST_FAILURES) return true;
  return item.kind !== 'lease' && charged >= MOST_WORKERS && new Set(failedOn).size >= MOST_WORKERS;
}

export function poisoned(now: RunState, held: ItemState, cause: string): Advance {
  const { item } = held;
  const what =
    item.kind === 'gradient'
      ? `block ${blockKey(item.block)} of step ${item.step} (epoch ${item.epoch + 1}, positions ${item.firstPosition}..${item.endPosition - 1} of its permutation)`
      : item.kind === 'lease'
        ? `steps ${item.step}..${item.end - 1} (epoch ${item.epoch + 1})`
        : `rows ${item.begin}..${item.end - 1} of the ${item.split} split`;
  const error = new RopeteamError(
    'RUN.POISON_BLOCK',
    { step: versionOf(item), block: itemKey(item) },
    `${what} failed ${held.failedOn.length} times, on ${countWorkers(held)}: ${cause}`,
    {
      hint: 'look at these rows and at the workers’ memory; start again with fewer samples per batch to narrow it down',
    },
  );
  return [
    { ...now, phase: 'ended', items: new Map() },
    [{ kind: 'withdraw' }, ...releaseAll(now), { kind: 'fail', error: toEnvelope(error), suspect: item }],
  ];
}

function countWorkers({ failedOn }: ItemState): string {
  const workers = new Set(failedOn).size;
  return workers === 1 ? 'one worker' : `${workers} different workers`;
}
