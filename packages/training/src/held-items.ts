/** What happens to an item whose holder died, failed or must make room. */
import { step as toStep, type WorkerId } from './identities.js';
import { isPoison, poisoned, withFailure, withLoss } from './poison.js';
import { isUrgent, reissue, withRoom } from './reissue.js';
import type { CopyReason, ItemState, RunEffect, RunInput, RunState } from './run-state.js';
import { averageItem, othersAreThere, withItem, withoutHolder } from './run-state.js';
import { sendWhatIsMissing } from './send-versions.js';
import { isLeftBehind } from './stragglers.js';
import { itemId, keyOfItemId } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/** Workers that may have one item in hand at the same time. */
const MOST_AT_ONCE = 4;
/** Ticks for which a wanted item may be passed over before the workers that wait look again, and before it is lost. */
const TICKS_TO_LOOK_AGAIN = 2;
const TICKS_TO_REISSUE = 5;

/** The lost worker's items go back to the front of the queue. */
export function handBackHeldBy(now: RunState, worker: WorkerId): Advance {
  const had = [...now.items].filter(([, { holder, receipt }]) => holder?.worker === worker && receipt === undefined);
  // Who only waited with an item can't have died of it.
  const wanted = had.filter(([, { item }]) => isUrgent(now, item)).map(([key]) => key);
  let state = withLoss(withoutOther(now, worker), wanted);
  const effects: RunEffect[] = [];
  for (const [key] of had) {
    const held = state.items.get(key);
    if (held?.holder === undefined) continue;
    const urgent = isUrgent(state, held.item);
    const failed = urgent ? withFailure(held, worker, 'lost') : held;
    if (isPoison(state, failed)) return poisoned(now, failed, 'the worker that held it was lost each time');
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
  // Another is at it by now, and says for itself what becomes of it.
  if (held.holder !== undefined && held.holder.worker !== failed.worker && held.failedOn.includes(failed.worker)) {
    return [now, []];
  }
  const after = withFailure(held, failed.worker, 'said');
  if (isPoison(now, after)) return poisoned(now, after, failed.message);
  const [state, effects] = reissue(withItem(now, key, after), failed.itemId);
  return [withoutOther(state, failed.worker), effects];
}

/** A worker that is gone, or has said that it failed, is not at anything any more. */
function withoutOther(now: RunState, worker: WorkerId): RunState {
  let state = now;
  for (const [key, held] of now.items) {
    if (held.others?.some((other) => other.worker === worker) !== true) continue;
    state = withItem(state, key, { ...held, others: held.others.filter((other) => other.worker !== worker) });
  }
  return state;
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
    return [now, [{ kind: 'release', itemId: id, worker }, ...whatItForgot(now, key, taken)]];
  }
  const holder = { worker, itemId: id, token, ...(holds === undefined ? {} : { holds }) };
  const before = held.holder !== undefined && held.holder.worker !== worker ? [held.holder] : [];
  const others = [...(held.others ?? []).filter((other) => other.worker !== worker), ...before];
  const taking: ItemState = { ...held, holder, ticksPassedOver: 0, since: now.clockMs, others };
  const state = withItem(now, key, taking);
  const missing = sendWhatIsMissing(now, taking);
  const reason = whyAnother(now, taking);
  if (reason === undefined || others.length >= MOST_AT_ONCE) return [state, missing];
  const marked = reason === 'straggler' ? withItem(now, key, { ...taking, copied: true }) : state;
  const [after, effects] = reissue(marked, id, { kind: 'copy', item: held.item, reason, worker });
  return [after, [...missing, ...effects]];
}

/**
 * A worker ahead of an item, by a lease of its own, forgets its weights when it takes it: the item may need earlier ones. If
 * that item is of the past, it needs those that were published once more.
 */
function whatItForgot(
  now: RunState,
  key: string | undefined,
  { worker, holds }: RunInput & { kind: 'item-taken' },
): readonly RunEffect[] {
  const version = key === undefined || key.includes('.lease-') ? undefined : Number.parseInt(key, 10);
  if (version === undefined || holds === undefined || holds <= version || now.published !== now.version) return [];
  return [{ kind: 'send-weights', version: now.version, worker }];
}

/**
 * Why somebody else is wanted for what a worker has just taken, if anybody else is there: it has said already what it finds,
 * it failed over it, or it is far slower than the others. It may go on all the same: the queue can't be told whom to serve.
 */
function whyAnother(now: RunState, held: ItemState): CopyReason | undefined {
  const { holder, opinions = [], failedOn, losses = 0 } = held;
  if (holder === undefined || !isUrgent(now, held.item)) return undefined;
  const { worker } = holder;
  const heard = opinions.map((opinion) => opinion.worker);
  if (heard.includes(worker) && othersAreThere(now, heard)) return 'verify';
  const said = failedOn.length > losses ? failedOn : [];
  if (said.includes(worker) && othersAreThere(now, said)) return 'elsewhere';
  return isLeftBehind(now, held) ? 'straggler' : undefined;
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
