/** What the coordinator knows of a run in training, and what can happen to it. Plain data; see `advance-run.ts`. */
import type { LossSums, TallyLayout } from '#kernel';
import type { SplitName } from './dataset.js';
import { NO_SUMS } from './epoch-metrics.js';
import type { ErrorEnvelope } from './errors.js';
import type { FinalMetrics, Metrics, StoppedBy } from './events.js';
import type { Grain, GrainPlan } from './grain.js';
import type { Step, WorkerId } from './identities.js';
import { step as toStep } from './identities.js';
import type { Task } from './job-spec.js';
import type { EvaluationReceipt, GradientReceipt, LeaseReceipt, LeaseStep } from './messages.js';
import type { Pace } from './pace.js';
import { UNKNOWN_PACE } from './pace.js';
import type { RunShape } from './run-shape.js';
import type { StopRules, StopState } from './stop-rules.js';
import { FRESH_STOP_STATE } from './stop-rules.js';
import type { AverageItem, Block, WorkerItem, WorkItem } from './work-items.js';

/** One announced item: nobody's, somebody's, or done. */
export interface ItemState {
  readonly item: WorkerItem;
  readonly holder?: Holder;
  readonly receipt?: GradientReceipt | LeaseReceipt | EvaluationReceipt;
  /** The worker of each failure: it died of the item, or said that it failed, while it held it. A name may come twice. */
  readonly failedOn: readonly WorkerId[];
  /** How many of these were losses of a worker: it may have died of something else. */
  readonly losses?: number;
  /** Ticks for which this item was wanted and in nobody's hands while a worker waited with a later one. */
  readonly ticksPassedOver?: number;
  /** Who had it before it was put into the queue once more for somebody else: they may still be at it. */
  readonly others?: readonly Holder[];
  /** On the run's clock: since when the present holder has it. */
  readonly since?: number;
  /** A copy was given to somebody else because its holder took too long. */
  readonly copied?: true;
  /** More than one worker is to compute it; what they found so far. */
  readonly opinions?: readonly Opinion[];
}

/** What a worker found when it computed an item: enough to tell it from what another found. */
export interface Opinion {
  readonly worker: WorkerId;
  /** Hashes of the result, see `proofOf`. */
  readonly proof: string;
}

export interface EpochResult {
  readonly epoch: number;
  readonly train: Metrics;
  readonly validation?: Metrics;
}

export interface BestEpoch extends EpochResult {
  /** Committed steps at its end. */
  readonly step: Step;
  /** Of the watched figure. */
  readonly value: number;
}

/** What a model's outputs stand for. */
export interface OutputGround {
  readonly layout: TallyLayout;
  /** Labels by class index. */
  readonly labels: readonly string[];
}

export interface Holder {
  readonly worker: WorkerId;
  readonly itemId: string;
  readonly token: string;
  /** The version it held as the result of a lease of its own when it took the item. */
  readonly holds?: Step;
}

/** What is done about a step whose mean gradient or loss is not finite, wherever it was computed. */
export type NonFinitePolicy = 'stop' | 'rollback' | 'skip';

/** What a step's mean was made of when it came out as NaN or an infinity. */
export interface NonFinite {
  readonly learningRate: number;
  readonly gradientNorm: number;
  readonly loss: number;
  /** The first block with such a number in its gradient or loss; absent where only their sum has one. */
  readonly block?: Block;
  /** The first parameter with such a number; absent where only the loss has one. */
  readonly tensor?: string;
}

export interface RunState {
  readonly onNonFinite: NonFinitePolicy;
  /** How often the run went back to a checkpoint before. */
  readonly rollbacks: number;
  /** Share of the items that two workers compute, and what draws them; absent: none. */
  readonly verify?: { readonly share: number; readonly seed: number };
  /** Steps in a row that were left out. */
  readonly skippedInARow: number;
  /** This step's mean was not finite, and its blocks are computed once more, by others where there are any. */
  readonly confirming?: Step;
  /** This step is made from blocks, whatever the plan says: a lease ended at it. */
  readonly openStep?: Step;
  /** Issue of items announced from now on: above all that were given to items which were dropped. */
  readonly firstIssue: number;
  /** The coordinator's monotonic clock at the newest input that told it, milliseconds. */
  readonly clockMs: number;
  /** When the current version became so. */
  readonly versionSince: number;
  readonly pace: Pace;
  /** When workers were lost lately, oldest first, and of which items. */
  readonly losses: readonly { readonly atMs: number; readonly key?: string }[];
  /** Receipts of the newest committed blocks, by item key: copies that come late are compared with them. */
  readonly recent: ReadonlyMap<string, GradientReceipt>;
  /** What each worker contributed since a second worker last found the same as it. */
  readonly unproven: ReadonlyMap<WorkerId, readonly string[]>;
  readonly shape: RunShape;
  readonly rules: StopRules;
  readonly task: Task;
  /** Numbers in one target. */
  readonly targetCount: number;
  /** What evaluations count besides sums; absent: nothing. */
  readonly outputs?: OutputGround;
  /**
   * Committed steps: the weight version workers hold or are being sent. Once the best weights are back in place it is a
   * number that no step has, and `restored` are the committed steps.
   */
  readonly version: Step;
  readonly restored?: Step;
  /** The newest weight version that went to every worker; -1: none. Behind `version` while leases follow each other. */
  readonly published: number;
  /** How steps are announced from now on. */
  readonly plan: GrainPlan;
  /**
   * Leases announced and not yet committed at the most: the one in hand and those after it, which its worker goes on with
   * at once from its own result. The coordinator keeps a place for what each leaves behind.
   */
  readonly openLeases: number;
  /** Items of steps below this are announced. */
  readonly announced: number;
  /** Announced and not yet committed, by item key, oldest first. */
  readonly items: ReadonlyMap<string, ItemState>;
  /** Workers that are ready for the run: decides how the next announced steps are cut. */
  readonly workers: number;
  readonly phase: 'training' | 'averaging' | 'restoring' | 'measuring' | 'ended';
  /** Sums over the committed steps of the epoch in progress, and of the last whole one. */
  readonly epochSums: LossSums;
  readonly lastEpoch?: EpochResult;
  /** The epoch with the best watched figure so far, where its weights are to be kept. */
  readonly best?: BestEpoch;
  /** An epoch's validation that must be known before the next step may commit. */
  readonly judging: boolean;
  readonly stop: StopState;
  /** Why the run ends, once that is decided. */
  readonly stoppedBy?: StoppedBy;
}

export type RunInput =
  /** First input of a run, or first after a resume. */
  | { readonly kind: 'started' }
  | { readonly kind: 'workers-changed'; readonly workers: number }
  /** From the next announcement on. */
  | { readonly kind: 'grain-chosen'; readonly plan: GrainPlan }
  | {
      readonly kind: 'item-taken';
      readonly itemId: string;
      readonly token: string;
      readonly worker: WorkerId;
      readonly holds?: Step;
    }
  | { readonly kind: 'worker-lost'; readonly worker: WorkerId }
  | { readonly kind: 'item-failed'; readonly itemId: string; readonly worker: WorkerId; readonly message: string }
  /** Its lock was gone when it was to be handed back: it must be announced once more. */
  | { readonly kind: 'hand-back-refused'; readonly itemId: string }
  /** A block's gradient lies complete in its inbox slot. */
  | { readonly kind: 'gradient-received'; readonly receipt: GradientReceipt; readonly atMs?: number }
  | { readonly kind: 'evaluation-received'; readonly receipt: EvaluationReceipt }
  /** What a lease left behind lies complete in its place. */
  | { readonly kind: 'lease-received'; readonly receipt: LeaseReceipt; readonly atMs?: number }
  /** The result of the lease that begins at `step` is now the run's own; or it is not what its receipt says. */
  | { readonly kind: 'adopted'; readonly step: Step; readonly outcome: 'accepted' | 'refused' }
  /** `trouble`: what was found where it is not finite. */
  | { readonly kind: 'averaged'; readonly step: Step; readonly finite: boolean; readonly trouble?: NonFinite }
  /** The best weights are the run's own again. */
  | { readonly kind: 'restored' }
  /** Some milliseconds have passed: it is now so many. */
  | { readonly kind: 'tick'; readonly atMs?: number }
  /** Nothing has moved for a while: the queue may have lost what it was given. */
  | { readonly kind: 'stalled' }
  | { readonly kind: 'stop-requested' };

export type RunEffect =
  | { readonly kind: 'announce'; readonly items: readonly WorkItem[] }
  | { readonly kind: 'hand-back'; readonly itemId: string; readonly token: string; readonly reason: string }
  /** Items of the run that still wait in the queues are not needed any more. */
  | { readonly kind: 'withdraw' }
  /** Tell the worker to stop waiting for this item. */
  | { readonly kind: 'release'; readonly itemId: string; readonly worker: WorkerId }
  | { readonly kind: 'average'; readonly step: Step; readonly receipts: readonly GradientReceipt[] }
  /** Check what a lease left behind and make it the run's weights and optimizer state. */
  | { readonly kind: 'adopt'; readonly receipt: LeaseReceipt }
  /** The lease's result was not what its receipt says: nothing of this worker can be relied on. */
  | {
      readonly kind: 'distrust';
      readonly worker: WorkerId;
      readonly reason: string;
      /** Keys of what it contributed since a second worker last found the same as it; absent where nobody compares. */
      readonly unproven?: readonly string[];
    }
  /** One more worker is to compute an item, for this reason. */
  | { readonly kind: 'copy'; readonly item: WorkerItem; readonly reason: CopyReason; readonly worker?: WorkerId }
  /** An item that more than one worker was to compute is settled: they agree, most do, or nobody else was there. */
  | { readonly kind: 'verified'; readonly item: WorkerItem; readonly outcome: 'agreed' | 'disagreed' | 'alone' }
  /** The run goes back to the state after `to` steps and on from there with a lower learning rate. */
  | { readonly kind: 'roll-back'; readonly step: Step; readonly to: Step; readonly trouble: NonFinite }
  /** These steps of a lease count. */
  | {
      readonly kind: 'lease-committed';
      readonly receipt: LeaseReceipt;
      readonly steps: readonly (LeaseStep & { readonly step: Step })[];
    }
  /** Weights and optimizer state of the current version, for the worker that is about to go on from them. */
  | { readonly kind: 'send-state'; readonly version: Step; readonly worker: WorkerId }
  /** The published weights once more, for a worker that is ahead of them on a result of its own. */
  | { readonly kind: 'send-weights'; readonly version: Step; readonly worker: WorkerId }
  /** The step counts: its update is made. Comes after the `publish` of its weights, which must not wait for records. */
  | {
      readonly kind: 'committed';
      readonly step: Step;
      readonly receipts: readonly GradientReceipt[];
      readonly sums: LossSums;
      /** Its update was left out: this is not finite. */
      readonly skipped?: NonFinite;
    }
  /** The weights of this version are current: send them. */
  | { readonly kind: 'publish'; readonly version: Step }
  /** `best`: no epoch before was as good, and the weights are still those it was judged by. */
  | ({ readonly kind: 'epoch-finished'; readonly best: boolean } & EpochResult)
  /** Save the last weights as they are, then put those of the best epoch in their place. */
  | { readonly kind: 'restore'; readonly best: BestEpoch }
  | { readonly kind: 'count'; readonly outcome: 'accepted' | 'duplicate' | 'conflicting' | 'stale' | 'reissued' }
  /** A second gradient of a block that is in has other bits: one of the two workers computes wrong. It is left out. */
  | {
      readonly kind: 'gradients-disagree';
      readonly counted: GradientReceipt;
      readonly dropped: GradientReceipt;
    }
  | {
      readonly kind: 'finish';
      readonly stoppedBy: StoppedBy;
      readonly metrics: Readonly<Partial<Record<SplitName, FinalMetrics>>>;
    }
  /** `suspect`: the item that failed too often; the error does not name its rows yet. */
  | { readonly kind: 'fail'; readonly error: ErrorEnvelope; readonly suspect?: WorkerItem };

/**
 * Why one more worker computes an item: a drawn share, a result that is not finite, results that differ, a holder that takes
 * too long, or one that failed over it.
 */
export type CopyReason = 'verify' | 'nonfinite' | 'disagreement' | 'straggler' | 'elsewhere';

/** Where a run stands: with weights and optimizer state all it needs to go on. */
export interface RunPosition
  extends Pick<RunState, 'version' | 'epochSums' | 'lastEpoch' | 'best' | 'judging' | 'stop'> {
  readonly stoppedBy?: StoppedBy;
  readonly skippedInARow?: number;
}

export interface RunStart {
  readonly shape: RunShape;
  readonly rules: StopRules;
  readonly task: Task;
  readonly targetCount: number;
  readonly outputs?: OutputGround;
  /** Absent: step by step. */
  readonly plan?: GrainPlan;
  /** Absent: 2. */
  readonly openLeases?: number;
  /** Absent: the beginning. */
  readonly position?: RunPosition;
  /** Absent: stop. */
  readonly onNonFinite?: NonFinitePolicy;
  readonly verify?: { readonly share: number; readonly seed: number };
  readonly rollbacks?: number;
}

const STEP_BY_STEP: GrainPlan = { grain: 'step' satisfies Grain, stepsPerLease: 1 };

const BEGINNING: RunPosition = {
  version: toStep(0),
  epochSums: NO_SUMS,
  judging: false,
  stop: FRESH_STOP_STATE,
};

export function newRun({ position = BEGINNING, ...start }: RunStart): RunState {
  return {
    plan: STEP_BY_STEP,
    openLeases: 2,
    published: -1,
    onNonFinite: 'stop',
    rollbacks: 0,
    skippedInARow: 0,
    firstIssue: 0,
    clockMs: 0,
    versionSince: 0,
    pace: UNKNOWN_PACE,
    losses: [],
    recent: new Map(),
    unproven: new Map(),
    ...start,
    ...position,
    announced: position.version,
    items: new Map(),
    workers: 0,
    phase: 'training',
  };
}

/** Steps a run has made, whichever weights are in place. */
export function committedSteps({ restored, version }: RunState): Step {
  return restored ?? version;
}

export function averageItem(shape: RunShape, step: Step): AverageItem {
  return { kind: 'average', run: shape.run, fence: shape.fence, step };
}

export function withItem(now: RunState, key: string, held: ItemState): RunState {
  const items = new Map(now.items);
  items.set(key, held);
  return { ...now, items };
}

/** The same item in nobody's hands. */
export function withoutHolder(held: ItemState): ItemState {
  const { holder: _, ...free } = held;
  return free;
}

/** Everybody who has it, or may still be at it. */
export function holdersOf({ holder, others = [] }: ItemState): readonly Holder[] {
  return holder === undefined ? others : [...others, holder];
}

/** Every worker that holds an item is told to let go of it. */
export function releaseAll(now: RunState): readonly RunEffect[] {
  return [...now.items.values()].flatMap((held) =>
    holdersOf(held).map(({ itemId, worker }) => ({ kind: 'release' as const, itemId, worker })),
  );
}

/** Whether somebody is there who is none of these. */
export function othersAreThere(now: RunState, workers: Iterable<WorkerId>): boolean {
  return now.workers > new Set(workers).size;
}

/** Whether an effect shows that a run moves, and that its queue has not lost everything. */
export function isProgress(effect: RunEffect): boolean {
  return (
    effect.kind === 'publish' || effect.kind === 'copy' || (effect.kind === 'count' && effect.outcome === 'accepted')
  );
}
