/** The jobs of the two queues. Small, plain and JSON: no tensor and no sample is ever in one. */
import type { SplitName } from './dataset.js';
import type { Fence, RunId, Step } from './identities.js';

/** Micro-batches `[begin, end)` of a step: an aligned run of 2^k, that is a subtree of the reduction tree. */
export interface Block {
  readonly begin: number;
  readonly end: number;
}

/** Queue `gradients`: compute the gradient of one block, at weight version `step`. */
export interface GradientItem {
  readonly kind: 'gradient';
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
  readonly epoch: number;
  /** The step's samples: positions `[firstPosition, endPosition)` of the epoch's permutation. */
  readonly firstPosition: number;
  readonly endPosition: number;
  readonly block: Block;
  /** 0 at first; raised when the item is put into the queue once more under a new id. */
  readonly issue: number;
}

/**
 * Queue `gradients`: a lease of whole steps `[step, end)`, all of one epoch, for one worker: it computes all micro-batches
 * of a step, averages and updates, and goes on with the next step from there.
 */
export interface LeaseItem {
  readonly kind: 'lease';
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
  readonly end: number;
  readonly epoch: number;
  readonly issue: number;
}

/** Queue `gradients`: measure samples `[begin, end)` of a split at weight version `version`. */
export interface EvaluationItem {
  readonly kind: 'evaluation';
  readonly run: RunId;
  readonly fence: Fence;
  readonly version: Step;
  readonly split: SplitName;
  readonly part: number;
  readonly begin: number;
  readonly end: number;
  readonly issue: number;
}

/** Queue `averages`: fold the blocks of each step up to this one, in order, update, publish. One for steps announced together. */
export interface AverageItem {
  readonly kind: 'average';
  readonly run: RunId;
  readonly fence: Fence;
  readonly step: Step;
}

export type WorkerItem = GradientItem | LeaseItem | EvaluationItem;
export type WorkItem = WorkerItem | AverageItem;

/** Job id of an item: ours, never the queue's, and it carries the fence. BullMQ refuses `:` in ids. */
export function itemId(item: WorkItem): string {
  const issue = item.kind === 'average' || item.issue === 0 ? '' : `.r${item.issue}`;
  return `${item.run}.${item.fence}.${itemKey(item)}${issue}`;
}

/** Name of an item within its run and fence, whatever its issue. */
export function itemKey(item: WorkItem): string {
  switch (item.kind) {
    case 'gradient':
      return gradientKey(item.step, item.block);
    case 'lease':
      return leaseKey(item.step, item.end);
    case 'evaluation':
      return evaluationKey(item.version, item.split, item.part);
    case 'average':
      return `${item.step}.average`;
    default:
      return item satisfies never;
  }
}

export function gradientKey(step: Step, block: Block): string {
  return `${step}.${blockKey(block)}`;
}

export function leaseKey(step: Step, end: number): string {
  return `${step}.lease-${end}`;
}

export function evaluationKey(version: Step, split: SplitName, part: number): string {
  return `${version}.${split}-${part}`;
}

/** The key in an item's id; undefined for an id of another run or fence. */
export function keyOfItemId(id: string, run: RunId, fence: Fence): string | undefined {
  const prefix = `${run}.${fence}.`;
  return id.startsWith(prefix) ? id.slice(prefix.length).replace(/\.r\d+$/, '') : undefined;
}

/** Weight version an item is computed at. */
export function versionOf(item: WorkerItem): Step {
  return item.kind === 'evaluation' ? item.version : item.step;
}

/** Name of a block within its step, for example `0-4`. */
export function blockKey(block: Block): string {
  return `${block.begin}-${block.end}`;
}
