/** Which items are announced when: a window of steps ahead, each epoch's evaluation in its place between them. */
import { cutBlocks } from './cut-blocks.js';
import { step as toStep } from './identities.js';
import type { RunShape } from './run-shape.js';
import { endsEpoch, evaluationItems, samplesOfStep } from './run-shape.js';
import type { RunEffect, RunState } from './run-state.js';
import { averageItem } from './run-state.js';
import type { GradientItem, WorkerItem, WorkItem } from './work-items.js';
import { itemKey } from './work-items.js';

/** Steps announced ahead of the committed ones at the most. Hides dispatch and completion behind computing. */
export const WINDOW_STEPS = 4;
/** So few steps ahead, the window is filled again: several steps in one call cost the queue hardly more than one. */
const REFILL_AT_STEPS = 2;

/** The gradient items of one step, cut for so many workers. */
export function gradientItems(shape: RunShape, step: number, workers: number): readonly GradientItem[] {
  return cutBlocks(shape.microBatches, Math.max(1, workers)).map((block) => ({
    kind: 'gradient' as const,
    run: shape.run,
    fence: shape.fence,
    step: toStep(step),
    ...samplesOfStep(shape, step),
    block,
    issue: 0,
  }));
}

/**
 * Announces steps until the window is full.
 *
 * The queue is first in, first out, and a worker that waits for a later version holds its one place. So an epoch's
 * evaluation is announced before the steps that must wait for it: behind them nobody might be free to take it.
 */
export function fillWindow(state: RunState): readonly [RunState, readonly RunEffect[]] {
  const end = Math.min(state.version + WINDOW_STEPS, state.shape.steps);
  const ahead = state.announced - state.version;
  if (state.announced >= end || ahead > REFILL_AT_STEPS || state.phase === 'measuring' || state.phase === 'ended')
    return [state, []];
  const items = new Map(state.items);
  const announced: WorkItem[] = [];
  const open = (item: WorkerItem): void => {
    items.set(itemKey(item), { item, failures: 0 });
    announced.push(item);
  };
  for (let step = state.announced; step < end; step++) {
    if (endsEpoch(state.shape, step)) for (const item of evaluationItems(state.shape, step, 'validation')) open(item);
    for (const item of gradientItems(state.shape, step, state.workers)) open(item);
    announced.push(averageItem(state.shape, toStep(step)));
  }
  return [{ ...state, items, announced: end }, [{ kind: 'announce', items: announced }]];
}
