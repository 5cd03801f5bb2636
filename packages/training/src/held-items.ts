/** What happens to an item whose holder died, failed or must make room. */
import { RopeteamError, toEnvelope } from './errors.js';
import { step as toStep, type WorkerId } from './identities.js';
import type { ItemState, RunEffect, RunInput, RunState } from './run-state.js';
import { averageItem, releaseAll, withItem, withoutHolder } from './run-state.js';
import { sendWhatIsMissing } from './send-versions.js';
import type { WorkerItem } from './work-items.js';
import { blockKey, itemId, itemKey, keyOfItemId, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/**
 * Different workers that may die or fail over a block or a part of an evaluation before it, not they, is taken to be the
 * cause. A lease is held for much longer, and deaths that have nothing to do with it meet it more often.
 */
const MOST_WORKERS = 3;
/** Failures of one item at the most, whoever had it: a worker alone must not fail over it for ever. */
const MOST_FAILURES = 5;
/** Ticks for which a wanted item may be passed over before the workers that wait look again, and before it is lost. */
const TICKS_TO_LOOK_AGAIN = 2;
const TICKS_TO_REISSUE = 5;

/** The lost worker's items go back to the front of the queue. */
export function handBackHeldBy(now: RunState, worker: WorkerId): Advance {
  let state = now;
  const effects: RunEffect[] = [];
  for (const [key, held] of now.items) {
    if (held.holder?.worker !== worker || held.receipt !== undefined) continue;
    // Who only waited with an item can't have died of it.
    const urgent = isUrgent(state, held.item);
    const failed = urgent ? withFailure(held, worker) : held;
    if (isPoison(failed)) return poisoned(now, failed, 'the worker that held it was lost each time');
    const { itemId: id, token } = held.holder;
    const handBack: RunEffect = { kind: 'hand-back', itemId: id, token, reason: 'worker lost' };
    const freed = withItem(state, key, withoutHolder(failed));
    const [next, more] = urgent ? withRoom(freed, [handBack]) : [freed, [handBack]];
    state = next;
    effects.push(...more, { kind: 'count', outcome: 'reissued' });
  }
  return [state, effects];
}

/** The kernel or the rows failed under a worker: the item is announced once more, under a new id, for anybody. */
export function giveUpOn(
  now: RunState,
  failed: { readonly itemId: string; readonly worker: WorkerId; readonly message: string },
): Advance {
  const key = keyOfItemId(failed.itemId, now.shape.run, now.shape.fence);
  const held = key === undefined ? undefined : now.items.get(key);
  if (key === undefined || held === undefined || held.receipt !== undefined) return [now, []];
  const after = withFailure(held, failed.worker);
  if (isPoison(after)) return poisoned(now, after, failed.message);
  return reissue(withItem(now, key, after), failed.itemId);
}

/** Puts an item into the queue under a new id, at the front. */
export function reissue(now: RunState, id: string): Advance {
  const key = keyOfItemId(id, now.shape.run, now.shape.fence);
  const held = key === undefined ? undefined : now.items.get(key);
  if (key === undefined || held === undefined || held.receipt !== undefined) return [now, []];
  // Somebody holds a later issue already.
  if (held.holder !== undefined && held.holder.itemId !== id) return [now, []];
  const item: WorkerItem = { ...held.item, issue: held.item.issue + 1 };
  const announce: RunEffect = { kind: 'announce', items: [item] };
  const free = withItem(now, key, { item, failedOn: held.failedOn });
  const [state, effects] = isUrgent(now, item) ? withRoom(free, [announce]) : [free, [announce]];
  return [state, [...effects, { kind: 'count', outcome: 'reissued' }]];
}

/**
 * Nothing moved for a while, so the queue may have lost what it held: everything nobody holds is announced again.
 * Ids that are still there are left alone by the queue; items of the current version get new ids, at the front.
 */
export function announceAgain(now: RunState): Advance {
  // Somebody works on the current version: slow is not lost.
  if ([...now.items.values()].some((held) => held.holder !== undefined && isUrgent(now, held.item))) return [now, []];
  const free = [...now.items.values()].filter((held) => held.receipt === undefined && held.holder === undefined);
  let state = now;
  const effects: RunEffect[] = [];
  for (const held of free.filter(({ item }) => isUrgent(now, item)).reverse()) {
    const [next, more] = reissue(state, itemId(held.item));
    state = next;
    effects.push(...more);
  }
  const later = free.map(({ item }) => item).filter((item) => !isUrgent(now, item));
  // A lease has no average of its own.
  const steps = [...now.items.values()].flatMap(({ item }) => (item.kind === 'gradient' ? [item.step] : []));
  const averages = steps.length === 0 ? [] : [averageItem(now.shape, toStep(Math.max(...steps)))];
  return [state, [...effects, { kind: 'announce', items: [...later, ...averages] }]];
}

/** A worker took an item; one that is not wanted any more it shall let go of. */
export function take(now: RunState, taken: RunInput & { kind: 'item-taken' }): Advance {
  const { worker, itemId: id, token, holds } = taken;
  const key = keyOfItemId(id, now.shape.run, now.shape.fence);
  const held = key === undefined ? undefined : now.items.get(key);
  if (key === undefined || held === undefined || held.receipt !== undefined) {
    return [now, [{ kind: 'release', itemId: id, worker }]];
  }
  const holder = { worker, itemId: id, token, ...(holds === undefined ? {} : { holds }) };
  const taking: ItemState = { ...held, holder, ticksPassedOver: 0 };
  return [withItem(now, key, taking), sendWhatIsMissing(now, taking)];
}

/**
 * A moment has passed. Does the current version need an item that nobody holds, while a worker waits with a later one?
 *
 * The queue gives earlier items first, so that should not be. Either two messages crossed, and the next tick finds it
 * mended; or a worker came between the loss of a holder and the hand-back: those that wait let go and look again. If the
 * item is still nobody's after that, the queue has lost it, for example with a worker that completed it and died before
 * its gradient was out: it is announced under a new id.
 */
export function checkOrder(now: RunState): Advance {
  const waits = [...now.items.values()].some((held) => held.holder !== undefined && !isUrgent(now, held.item));
  if (!waits) return [now, []];
  let state = now;
  const effects: RunEffect[] = [];
  for (const [key, held] of now.items) {
    if (!isUrgent(now, held.item) || held.holder !== undefined || held.receipt !== undefined) continue;
    const ticks = (held.ticksPassedOver ?? 0) + 1;
    state = withItem(state, key, { ...held, ticksPassedOver: ticks });
    if (ticks < TICKS_TO_LOOK_AGAIN) continue;
    const [next, more] = ticks < TICKS_TO_REISSUE ? withRoom(state, []) : reissue(state, itemId(held.item));
    state = next;
    effects.push(...more);
  }
  return [state, effects];
}

/**
 * Whether the gradients of a step may come in now: it is the next step that is averaged from blocks. That may be ahead of
 * the current version, for a worker that made its weights in a lease computes on them before the lease is adopted.
 */
export function takesGradients(now: RunState, step: number): boolean {
  if (now.phase === 'averaging' && step === now.version) return false;
  for (const { item } of now.items.values()) if (item.kind === 'gradient' && item.step < step) return false;
  return step >= now.version;
}

/** Needed for the current version to go on; anything else waits for it. */
function isUrgent(now: RunState, item: WorkerItem): boolean {
  return versionOf(item) === now.version;
}

/**
 * Frees the workers that hold items of later versions, so that one of them can take what this version needs.
 *
 * A worker has one place, and one that waits for a later version would wait for ever if the item that version needs
 * were left to it. `urgent` puts that item into the queue; the workers are let go after it, so that they find it there.
 */
function withRoom(now: RunState, urgent: readonly RunEffect[]): Advance {
  let state = now;
  const handBacks: RunEffect[] = [];
  const releases: RunEffect[] = [];
  for (const [key, held] of now.items) {
    if (isUrgent(now, held.item) || held.holder === undefined || held.receipt !== undefined) continue;
    const { worker, itemId: id, token } = held.holder;
    handBacks.push({ kind: 'hand-back', itemId: id, token, reason: 'an earlier item needs the worker' });
    releases.push({ kind: 'release', itemId: id, worker });
    state = withItem(state, key, withoutHolder(held));
  }
  return [state, [...handBacks, ...urgent, ...releases]];
}

/** The same item after it failed on a worker once more. */
export function withFailure(held: ItemState, worker: WorkerId): ItemState {
  return { ...held, failedOn: [...held.failedOn, worker] };
}

/** Whether an item that failed so often is itself the cause. */
export function isPoison({ item, failedOn }: ItemState): boolean {
  return failedOn.length >= MOST_FAILURES || (item.kind !== 'lease' && new Set(failedOn).size >= MOST_WORKERS);
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
