/** Who takes too long: what it has is given to a second worker too, and the first valid result counts. */
import { isStraggler, patienceMs, withCopy } from './pace.js';
import { reissue } from './reissue.js';
import type { ItemState, RunEffect, RunState } from './run-state.js';
import { othersAreThere, withItem } from './run-state.js';
import { itemKey, versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/**
 * Gives out a copy of what has been in one worker's hands for too long. Where a step has several blocks, at least as many
 * must be in as are missing: while everybody is late, nobody is.
 */
export function copyWhatIsLate(now: RunState): Advance {
  const patience = now.phase === 'training' ? patienceMs(now.pace) : undefined;
  if (patience === undefined || now.workers < 2) return [now, []];
  const wanted = [...now.items.values()].filter(
    ({ item }) => item.kind !== 'evaluation' && versionOf(item) === now.version,
  );
  const missing = wanted.filter(({ receipt }) => receipt === undefined);
  if (wanted.length > 1 && missing.length > wanted.length - missing.length) return [now, []];
  const late = missing.find((held) => isLate(now, held, patience));
  if (late?.holder === undefined) return [now, []];
  const { item, holder } = late;
  const copied = withItem({ ...now, pace: withCopy(now.pace) }, itemKey(item), { ...late, copied: true });
  return reissue(copied, holder.itemId, { kind: 'copy', item, reason: 'straggler', worker: holder.worker });
}

/** What a straggler has in hand and this version needs goes to another at once. */
export function copyForStragglers(now: RunState): Advance {
  let state = now;
  const effects: RunEffect[] = [];
  for (const [key, held] of now.items) {
    if (versionOf(held.item) !== now.version || held.receipt !== undefined || !isLeftBehind(now, held)) continue;
    const { item, holder } = held;
    if (holder === undefined) continue;
    const copied = withItem(state, key, { ...held, copied: true });
    const [next, more] = reissue(copied, holder.itemId, {
      kind: 'copy',
      item,
      reason: 'straggler',
      worker: holder.worker,
    });
    state = next;
    effects.push(...more);
  }
  return [state, effects];
}

/** Whether what a worker just took should go to another too, because this one is far slower than all others lately. */
export function isLeftBehind(now: RunState, { item, holder, copied }: ItemState): boolean {
  if (holder === undefined || copied === true || item.kind === 'evaluation') return false;
  if (!isStraggler(now.pace, holder.worker)) return false;
  const slow = [...now.pace.beaten.keys()].filter((worker) => isStraggler(now.pace, worker));
  return othersAreThere(now, slow);
}

function isLate(now: RunState, { holder, since, copied, opinions }: ItemState, patience: number): boolean {
  if (holder === undefined || since === undefined || copied === true || opinions !== undefined) return false;
  return now.clockMs - Math.max(since, now.versionSince) > patience;
}
