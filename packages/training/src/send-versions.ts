/** Which worker is sent what of a weight version: all of them its weights, or one of them the optimizer state too. */
import type { Step } from './identities.js';
import type { ItemState, RunEffect, RunState } from './run-state.js';
import { versionOf } from './work-items.js';

type Advance = readonly [RunState, readonly RunEffect[]];

/** Whether workers need the weights of the current version, all of them: for anything but a lease that goes on by itself. */
export function needsPublishing(now: RunState): boolean {
  if (now.published >= now.version) return false;
  const items = [...now.items.values()].filter(({ item }) => versionOf(item) === now.version);
  return items.some(({ item }) => item.kind !== 'lease') || (items.length === 0 && now.plan.grain === 'step');
}

/** Sends the current version to every worker, if any of its items needs that. */
export function publishIfNeeded(now: RunState): Advance {
  return needsPublishing(now) ? publish(now) : [now, []];
}

export function publish(now: RunState): Advance {
  return [{ ...now, published: now.version }, [{ kind: 'publish', version: now.version }]];
}

/** What the holder of an item of the current version lacks to compute it. */
export function sendWhatIsMissing(now: RunState, { item, holder }: ItemState): readonly RunEffect[] {
  if (holder === undefined || versionOf(item) !== now.version) return [];
  const { worker, holds } = holder;
  if (item.kind === 'lease') return holds === item.step ? [] : [{ kind: 'send-state', version: item.step, worker }];
  return isAhead(holds, now.version) ? [{ kind: 'send-weights', version: now.version, worker }] : [];
}

function isAhead(holds: Step | undefined, version: Step): boolean {
  return holds !== undefined && holds > version;
}
