/** What becomes of the result of a lease of whole steps. */
import { addLossSums } from '#kernel';
import { step as toStep } from './identities.js';
import type { LeaseReceipt } from './messages.js';
import { openStepFor } from './non-finite.js';
import { isPoison, poisoned, withFailure } from './poison.js';
import { reissue } from './reissue.js';
import type { ItemState, RunEffect, RunState } from './run-state.js';
import { itemId, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/** The current version's lease and its receipt, once that is in. */
export function receiptOfLease(now: RunState): LeaseReceipt | undefined {
  for (const { item, receipt } of now.items.values()) {
    if (item.kind === 'lease' && item.step === now.version && receipt !== undefined && 'steps' in receipt)
      return receipt;
  }
  return undefined;
}

/** Why a receipt can't be that of a lease: it must have a record of every step, or end with one that is not finite. */
export function problemOfLease({ step, end, steps }: LeaseReceipt): string | undefined {
  const stopped = steps.findIndex(({ finite }) => !finite);
  if (stopped >= 0 && stopped !== steps.length - 1) return `goes on after step ${step + stopped}, which is not finite`;
  if (steps.length > end - step || (stopped < 0 && steps.length < end - step)) {
    return `has ${steps.length} records for ${end - step} steps`;
  }
  return undefined;
}

/**
 * The run after the steps of an adopted lease, and the effect that writes them down. Where the last of them was not finite,
 * it is made once more from blocks.
 */
export function commitLease(now: RunState, receipt: LeaseReceipt): Advance {
  const finite = receipt.steps.filter((record) => record.finite);
  const version = toStep(receipt.step + finite.length);
  const state: RunState = {
    ...now,
    version,
    items: new Map([...now.items].filter(([, { item }]) => versionOf(item) >= version)),
    phase: 'training',
    epochSums: finite.reduce(addLossSums, now.epochSums),
    versionSince: now.clockMs,
    skippedInARow: finite.length > 0 ? 0 : now.skippedInARow,
  };
  const steps = finite.map((record, index) => ({ ...record, step: toStep(receipt.step + index) }));
  const committed: readonly RunEffect[] = steps.length === 0 ? [] : [{ kind: 'lease-committed', receipt, steps }];
  if (finite.length === receipt.steps.length) return [state, committed];
  const [opened, effects] = openStepFor(state);
  return [opened, [...committed, ...effects]];
}

/**
 * A lease's result is not what its receipt says. Its worker is not believed any more: what else it sent for later
 * versions came from the same weights, so all of that is computed again, by whoever takes it.
 */
export function refuseLease(now: RunState, receipt: LeaseReceipt): Advance {
  const { worker, step, end } = receipt;
  const reason = `the result of steps ${step}..${end - 1} is not what its receipt says`;
  const effects: RunEffect[] = [{ kind: 'distrust', worker, reason }];
  let state: RunState = { ...now, phase: 'training' };
  for (const [key, held] of now.items) {
    if (held.receipt?.worker !== worker) continue;
    const failed = withFailure(withoutReceipt(held), worker, 'said');
    if (isPoison(state, failed)) return poisoned(state, failed, reason);
    const items = new Map(state.items);
    items.set(key, failed);
    const [next, more] = reissue({ ...state, items }, itemId(held.item));
    state = next;
    effects.push(...more);
  }
  return [state, effects];
}

function withoutReceipt({ item, failedOn }: ItemState): ItemState {
  return { item, failedOn };
}
