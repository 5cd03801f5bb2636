import type { LeaseEngine } from '#engine';
import { inSpan, type WorkerMetrics } from '#telemetry';
import {
  type CoordinatorSession,
  failpoint,
  type LeaseItem,
  type LeaseReceipt,
  type LeaseSettings,
  type RunPlan,
  rateOf,
  samplesOfLeaseStep,
  type TakenItem,
  type WorkerId,
} from '#training';
import type { LeaseState } from './lease-state.js';
import type { WeightsBoard } from './weights-board.js';

export interface LeaseWorkOptions {
  readonly plan: RunPlan;
  readonly settings: LeaseSettings;
  readonly session: CoordinatorSession;
  readonly engine: LeaseEngine;
  readonly weights: WeightsBoard;
  readonly state: LeaseState;
  readonly metrics: WorkerMetrics;
  readonly worker: WorkerId;
}

/** What the queue is told of a finished lease: its receipt is too long for a job's return value. */
export interface LeaseSummary {
  readonly step: number;
  readonly steps: number;
  readonly weights: string;
}

/** Computes leases and sends what they leave behind while the next one is computed already. */
export class LeaseWork implements AsyncDisposable {
  readonly #options: LeaseWorkOptions;
  #upload: Promise<void> = Promise.resolve();

  constructor(options: LeaseWorkOptions) {
    this.#options = options;
  }

  async compute(taken: TakenItem, item: LeaseItem, released: AbortSignal): Promise<LeaseSummary | 'dropped'> {
    const { engine, weights, state, session, metrics } = this.#options;
    const takenAt = performance.now();
    if ((await state.ready(released)) !== 'ready') return 'dropped';
    const waitedMs = Math.max(0, takenAt - weights.currentSince);
    const facts = { run: item.run, kind: item.kind, step: item.step, item: taken.itemId, worker: this.#options.worker };
    const computing = weights.hold(async () => {
      const result = await engine.run({ epoch: item.epoch, firstStep: item.step, steps: this.#stepsOf(item) });
      state.advance(item.step + result.steps.filter(({ finite }) => finite).length);
      return result;
    });
    const { startHash, steps, computeMs } = await inSpan('compute', facts, item.trace, () => computing);
    const samples = steps.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
    metrics.leaseComputed({ steps: steps.length, samples, waitedMs, computeMs });
    metrics.weightsReceived(item.step + steps.length);
    await this.#upload; // of the lease before: its copy is about to be written over
    const result = await engine.snapshot();
    const { run, fence, step, end } = item;
    const { worker } = this.#options;
    const receipt: LeaseReceipt = {
      ...{ run, fence, step, end, worker, attempt: taken.attempt },
      ...{ startHash, steps, computeMs, waitedMs },
    };
    metrics.payload('sent', result.byteLength);
    failpoint('worker-lease-computed');
    this.#upload = session.sendLease({ itemId: taken.itemId, receipt }, result);
    // Whoever waits for it next, or disposes, hears of a failure: the session is over then.
    this.#upload.catch(() => undefined);
    return { step, steps: steps.length, weights: steps.at(-1)?.weightsHash ?? startHash };
  }

  /** The memory the upload reads is about to go. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#upload.catch(() => undefined); // a broken session has been reported by then
  }

  #stepsOf({ step: first, end }: LeaseItem) {
    const { plan, settings } = this.#options;
    return Array.from({ length: end - first }, (_, index) => ({
      ...samplesOfLeaseStep(plan, first + index),
      learningRate: rateOf(settings, settings.rollbacks ?? [], first + index, settings.steps),
    }));
  }
}
