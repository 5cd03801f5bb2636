/** Putting an item into the queue once more, and making room for whoever is to take it. */
import type { RunEffect, RunState } from './run-state.js';
import { withItem, withoutHolder } from './run-state.js';
import type { WorkerItem } from './work-items.js';
import { keyOfItemId, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/**
 * Puts an item into the queue under a new id, at the front. Whoever has it may go on: any result counts.
 * @param why a copy for one more worker; absent: it is in nobody's hands any more
 */
export function reissue(now: RunState, id: string, why: RunEffect = { kind: 'count', outcome: 'reissued' }): Advance {
  const key = keyOfItemId(id, now.shape.run, now.shape.fence);
  const held = key === undefined ? undefined : now.items.get(key);
  if (key === undefined || held === undefined || held.receipt !== undefined) return [now, []];
  // Somebody holds a later issue already.
  if (held.holder !== undefined && held.holder.itemId !== id) return [now, []];
  const item: WorkerItem = { ...held.item, issue: held.item.issue + 1 };
  const announce: RunEffect = { kind: 'announce', items: [item] };
  const others = held.holder === undefined ? held.others : [...(held.others ?? []), held.holder];
  const freed = { ...withoutHolder(held), item, ...(others === undefined ? {} : { others }) };
  const free = withItem(now, key, freed);
  const [state, effects] = isUrgent(now, item) ? withRoom(free, [announce]) : [free, [announce]];
  return [state, [...effects, why]];
}

/** Needed for the current version to go on; anything else waits for it. */
export function isUrgent(now: RunState, item: WorkerItem): boolean {
  return versionOf(item) === now.version;
}

/**
 * Frees the workers that hold items of later versions, so that one of them can take what this version needs.
 *
 * A worker has one place, and one that waits for a later version would wait for ever if the item that version needs
 * were left to it. `urgent` puts that item into the queue; the workers are let go after it, so that they find it there.
 */
export function withRoom(now: RunState, urgent: readonly RunEffect[]): Advance {
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
