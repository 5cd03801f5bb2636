import {
  type GrainDecision,
  type GrainInputs,
  type GrainPlan,
  isNews,
  type LeaseReceipt,
  planGrain,
  type StepPhases,
} from '#training';
import type { PreparedRun } from './prepare-run.js';

/** Weight of the newest figure in the averaged ones. */
const SMOOTHING = 0.2;

/** The figures of a committed step that was shared out. */
export interface SharedStep {
  readonly durationMs: number;
  readonly phases: Pick<StepPhases, 'averageMs'>;
  /** Of each of its blocks, in the kernel. */
  readonly blocksMs: readonly number[];
}

/** Hears what was decided for so many workers. */
export type GrainListener = (decision: GrainDecision, workers: number) => void;

/** Measures what steps cost and asks the planner how the next ones are to be leased. */
export class GrainChooser {
  readonly #fixed: Pick<GrainInputs, 'wanted' | 'microBatches' | 'rounds' | 'exchangedBytes' | 'resultBytes'>;
  readonly #told: GrainListener;
  #plan: GrainPlan = { grain: 'run', stepsPerLease: 1 };
  #lastTold: { readonly decision: GrainDecision; readonly workers: number } | undefined;
  #computeMs: number | undefined;
  #exchangeMs: number | undefined;

  /** @param told hears of every decision that says something new */
  constructor(
    fixed: Pick<GrainInputs, 'wanted' | 'microBatches' | 'rounds' | 'exchangedBytes' | 'resultBytes'>,
    told: GrainListener,
  ) {
    this.#fixed = fixed;
    this.#told = told;
  }

  /** A step whose blocks were computed apart: one worker would have needed all of it, one block after the other. */
  shared({ durationMs, phases, blocksMs }: SharedStep): void {
    const computeMs = blocksMs.reduce((sum, block) => sum + block, 0) + phases.averageMs;
    const slowest = Math.max(0, ...blocksMs) + phases.averageMs;
    this.#computeMs = blend(this.#computeMs, computeMs);
    this.#exchangeMs = blend(this.#exchangeMs, Math.max(0, durationMs - slowest));
  }

  leased({ computeMs, steps }: Pick<LeaseReceipt, 'computeMs' | 'steps'>): void {
    // The first leases are short and cold: what follows counts for more.
    this.#computeMs = blend(this.#computeMs, computeMs / Math.max(1, steps.length), 0.5);
  }

  /** The plan for what is announced next. */
  choose(workers: readonly string[], canLease: boolean): GrainPlan {
    const decision = planGrain(
      { ...this.#fixed, workers, canLease, computeMs: this.#computeMs, exchangeMs: this.#exchangeMs },
      this.#plan,
    );
    const before = this.#lastTold;
    if (before === undefined || before.workers !== workers.length || isNews(decision, before.decision)) {
      this.#lastTold = { decision, workers: workers.length };
      this.#told(decision, workers.length);
    }
    this.#plan = { grain: decision.grain, stepsPerLease: decision.stepsPerLease };
    return this.#plan;
  }
}

function blend(average: number | undefined, newest: number, weight = SMOOTHING): number {
  return average === undefined ? newest : average + weight * (newest - average);
}

/** The chooser of a run: what its steps exchange and its leases leave behind is known from its model. */
export function grainChooserOf(wanted: GrainInputs['wanted'], run: PreparedRun, told: GrainListener): GrainChooser {
  const { engine, shape } = run;
  return new GrainChooser(
    {
      wanted,
      microBatches: shape.microBatches,
      rounds: shape.local !== undefined,
      exchangedBytes: engine.wireWeights.byteLength + engine.inbox(0).byteLength,
      resultBytes: engine.weights.byteLength + engine.optimizerState.byteLength,
    },
    told,
  );
}
