/** Which items are announced when: a window of steps ahead, each epoch's evaluation in its place between them. */
import { cutBlocks } from './cut-blocks.js';
import { step as toStep } from './identities.js';
import { leaseEnd } from './lease-length.js';
import type { RunShape } from './run-shape.js';
import { endsEpoch, evaluationItems, samplesOfStep } from './run-shape.js';
import type { RunEffect, RunState } from './run-state.js';
import { averageItem } from './run-state.js';
import { isDrawn } from './second-opinions.js';
import type { GradientItem, LeaseItem, WorkerItem, WorkItem } from './work-items.js';
import { itemKey } from './work-items.js';

/** Steps announced ahead of the committed ones at the most. Hides dispatch and completion behind computing. */
export const WINDOW_STEPS = 4;
/**
 * So few steps ahead, the window is filled again: several steps in one call cost the queue hardly more than one, and every
 * call takes a core from the step under way for half a millisecond.
 */
const REFILL_AT_STEPS = 1;

/** The gradient items of one step, cut for so many workers. */
export function gradientItems(shape: RunShape, step: number, workers: number, issue = 0): readonly GradientItem[] {
  return cutBlocks(shape.microBatches, Math.max(1, workers)).map((block) => ({
    kind: 'gradient' as const,
    run: shape.run,
    fence: shape.fence,
    step: toStep(step),
    ...samplesOfStep(shape, step),
    block,
    issue,
  }));
}

/** The lease that begins at a step; at most `most` steps long, see `leaseEnd`. */
export function leaseItem(shape: RunShape, first: number, most: number, issue = 0): LeaseItem {
  const { run, fence } = shape;
  const end = leaseEnd(shape, first, most);
  const { epoch } = samplesOfStep(shape, first);
  return { kind: 'lease', run, fence, step: toStep(first), end, epoch, issue };
}

/**
 * Announces steps, or leases of them, until the window is full.
 *
 * The queue is first in, first out, and a worker that waits for a later version holds its one place. So an epoch's
 * evaluation is announced before the steps that must wait for it: behind them nobody might be free to take it.
 */
export function fillWindow(state: RunState): readonly [RunState, readonly RunEffect[]] {
  if (state.phase === 'measuring' || state.phase === 'ended') return [state, []];
  const items = new Map(state.items);
  const added: WorkItem[] = [];
  const open = (item: WorkerItem): void => {
    const asked = isDrawn(state, item) ? { opinions: [] } : {};
    items.set(itemKey(item), { item, failedOn: [], ...asked });
    added.push(item);
  };
  let { announced } = state;
  const openEvaluation = (): void => {
    if (endsEpoch(state.shape, announced))
      for (const item of evaluationItems(state.shape, announced, 'validation'))
        open({ ...item, issue: state.firstIssue });
  };
  // What comes after a step that is made from blocks for once is announced when that is done.
  if (state.openStep !== undefined) {
    if (announced > state.openStep) return [state, []];
    for (const item of gradientItems(state.shape, announced, state.workers, state.firstIssue)) open(item);
    added.push(averageItem(state.shape, toStep(announced)));
    announced++;
  } else if (state.plan.grain === 'run') {
    let leases = [...items.values()].filter(({ item }) => item.kind === 'lease').length;
    for (; leases < state.openLeases && announced < state.shape.steps; leases++) {
      openEvaluation();
      const lease = leaseItem(state.shape, announced, state.plan.stepsPerLease, state.firstIssue);
      open(lease);
      announced = lease.end;
    }
  } else if (announced - state.version <= REFILL_AT_STEPS) {
    const end = Math.min(state.version + WINDOW_STEPS, state.shape.steps);
    const begin = announced;
    for (; announced < end; announced++) {
      openEvaluation();
      for (const item of gradientItems(state.shape, announced, state.workers, state.firstIssue)) open(item);
    }
    if (announced > begin) added.push(averageItem(state.shape, toStep(announced - 1)));
  }
  if (added.length === 0) return [state, []];
  return [{ ...state, items, announced }, [{ kind: 'announce', items: added }]];
}
