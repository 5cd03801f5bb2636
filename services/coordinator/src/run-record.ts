import type { AverageResult, LossSums } from '#engine';
import {
  blockKey,
  committedSteps,
  describeNonFinite,
  failpoint,
  type GradientReceipt,
  type GrainDecision,
  type LeaseReceipt,
  type LedgerBlock,
  type NonFinite,
  normOutlier,
  RopeteamError,
  type RunEffect,
  type RunEvent,
  type RunEventBody,
  type RunState,
  rateOfStep,
  type Step,
  samplesOfStep,
  withNorm,
} from '#training';
import { areFiniteMetrics } from './finite.js';
import type { PreparedRun } from './prepare-run.js';
import { RunActivity } from './run-activity.js';
import type { RunContext } from './run-context.js';
import { StepTimeline } from './step-timeline.js';
import type { Arrival } from './uploads.js';
import { WorkerPace } from './worker-pace.js';

/** The average of the step that is being committed. */
export type Averaged = Pick<AverageResult, 'gradientNorm' | 'weightsHash'> & { readonly learningRate: number };

type Timing = Pick<RunEvent & { event: 'step_committed' }, 'durationMs' | 'phases'>;

/** Writes down what a run does: ledger, events, metrics, and the counts its summary needs. */
export class RunRecord {
  /** For whoever looks on; nothing of it is written down. */
  readonly activity: RunActivity;
  readonly #context: RunContext;
  readonly #prepared: PreparedRun;
  readonly #timeline = new StepTimeline();
  readonly #pace = new WorkerPace();
  #startedAt: number | undefined;
  #epochStart = { at: 0, samples: 0 };
  #workersLost = 0;
  #blocksReissued = 0;
  #samplesCommitted = 0;
  /** Of the last steps' mean gradients. */
  #norms: readonly number[] = [];

  constructor(context: RunContext, prepared: PreparedRun) {
    this.#context = context;
    this.#prepared = prepared;
    this.activity = new RunActivity(prepared.shape);
    this.#workersLost = prepared.resumed?.workersLost ?? 0;
  }

  get workersLost(): number {
    return this.#workersLost;
  }

  get blocksReissued(): number {
    return this.#blocksReissued;
  }

  get samplesCommitted(): number {
    return this.#samplesCommitted;
  }

  get goodput(): number {
    return this.#timeline.goodput();
  }

  /** Seconds since the first weights went out. */
  get seconds(): number {
    return this.#startedAt === undefined ? 0 : (performance.now() - this.#startedAt) / 1000;
  }

  begin(): void {
    this.#startedAt = performance.now();
    this.#epochStart = { at: this.#startedAt, samples: 0 };
    this.#timeline.begin();
    this.#pace.begin();
  }

  arrived(receipt: GradientReceipt | LeaseReceipt, arrival: Arrival): void {
    this.#timeline.arrived(receipt, arrival);
    this.activity.arrived(receipt, arrival);
  }

  averaged(durationMs: number): void {
    this.#timeline.averaged(durationMs);
  }

  gradientsDisagree({ counted, dropped }: RunEffect & { kind: 'gradients-disagree' }): void {
    this.#context.log.error('gradients_disagree', {
      step: counted.step,
      block: blockKey(counted.block),
      counted: { worker: counted.worker, gradient: counted.gradientHash },
      dropped: { worker: dropped.worker, gradient: dropped.gradientHash },
    });
  }

  reissued(): void {
    this.#blocksReissued++;
    this.#timeline.disturbed();
    this.#context.metrics.blocksReissued(1);
  }

  workerLost(event: Omit<RunEventBody & { event: 'worker_lost' }, 'event'>): void {
    this.#workersLost++;
    this.#timeline.disturbed();
    this.#context.metrics.workerLost(event.detectedInMs === 0 ? 'closed' : 'silent');
    this.#context.events.append({ event: 'worker_lost', ...event });
  }

  grainChosen(decision: GrainDecision, workers: number): void {
    const { grain, stepsPerLease, computeMs, exchangeMs, savedMs, reason } = decision;
    this.#context.metrics.grainChosen(grain, stepsPerLease);
    const measured = computeMs === undefined || savedMs === undefined ? {} : { computeMs, savedMs };
    this.#context.events.append({
      event: 'grain_chosen',
      grain,
      stepsPerLease,
      workers,
      ...measured,
      exchangeMs,
      reason,
    });
  }

  /** The weights that end a step are on their way: how long it took. */
  published(steps = 1): Timing {
    return this.#timeline.published(steps);
  }

  /** @returns the mean loss of the last step */
  leaseCommitted({ receipt, steps }: RunEffect & { kind: 'lease-committed' }, timing: Timing): number {
    const { shape, job, rollbacks } = this.#prepared;
    const { worker, attempt } = receipt;
    const samplesLeased = steps.reduce((sum, { sampleCount }) => sum + sampleCount, 0);
    this.#context.metrics.leaseCommitted();
    this.#context.metrics.workerTimed(worker, receipt.computeMs / 1000 / Math.max(1, samplesLeased));
    this.#pace.computed(worker, samplesLeased, receipt.computeMs);
    let loss = 0;
    for (const record of steps) {
      const { step, sampleCount: samples, lossSum, gradientHash: gradient, gradientNorm, weightsHash } = record;
      const learningRate = rateOfStep(job.train, shape, step, rollbacks);
      const block = { begin: 0, end: shape.microBatches, worker, attempt, samples, lossSum, gradient };
      loss = this.#write(step, record, [block], { ...timing, learningRate, gradientNorm, weightsHash });
    }
    this.#tellPace();
    this.#context.traces.committed(receipt.step);
    return loss;
  }

  /** @returns the step's mean loss */
  committed({ step, receipts, sums, skipped }: RunEffect & { kind: 'committed' }, figures: Averaged & Timing): number {
    for (const { worker, computeMs, sampleCount } of receipts) {
      this.#context.metrics.workerTimed(worker, computeMs / 1000 / Math.max(1, sampleCount));
      this.#pace.computed(worker, sampleCount, computeMs);
    }
    const loss = this.#write(step, sums, receipts.map(ledgerBlock), figures, skipped);
    this.#tellPace();
    this.#context.traces.committed(step);
    return loss;
  }

  #tellPace(): void {
    const measured = this.#pace.due();
    if (measured !== undefined) this.#context.events.append({ event: 'workers_measured', ...measured });
  }

  #write(
    step: Step,
    sums: LossSums,
    blocks: readonly LedgerBlock[],
    figuresOfStep: Averaged & Timing,
    skipped?: NonFinite,
  ): number {
    const { shape, ledger, engine, resumed, rollbacks } = this.#prepared;
    const { learningRate, gradientNorm, weightsHash, durationMs, phases } = figuresOfStep;
    const samples = sums.sampleCount;
    const where = { step, ...samplesOfStep(shape, step) };
    const figures = {
      loss: finiteOrZero(sums.lossSum / samples),
      learningRate,
      gradientNorm: finiteOrZero(gradientNorm),
      samples,
    };
    const reason = skipped === undefined ? undefined : describeNonFinite(skipped);
    this.#compareWithBefore(step, weightsHash);
    ledger.append({
      run: shape.run,
      fence: shape.fence,
      ...where,
      ...figures,
      blocks,
      kernel: engine.kernelId,
      weights: weightsHash,
      ...(reason === undefined ? {} : { skipped: reason }),
      ...(rollbacks.length === 0 ? {} : { rollbacks }),
    });
    this.#context.metrics.ledgerWritten();
    failpoint('after-ledger-append');
    if (reason !== undefined) {
      this.#context.metrics.stepSkipped();
      if (step < (resumed?.toldSteps ?? 0)) return figures.loss;
      this.#context.events.append({ event: 'step_skipped', step, epoch: where.epoch, samples, learningRate, reason });
      return figures.loss;
    }
    this.#watchNorm(step, gradientNorm);
    this.#samplesCommitted += samples;
    const workers = new Set(blocks.map((block) => block.worker)).size;
    const event = { step, epoch: where.epoch, ...figures, durationMs, workers, phases };
    if (step >= (resumed?.toldSteps ?? 0)) this.#context.events.append({ event: 'step_committed', ...event });
    this.#context.metrics.stepCommitted({ ...event, version: step + 1, goodput: this.goodput });
    return figures.loss;
  }

  #watchNorm(step: Step, gradientNorm: number): void {
    const outlier = normOutlier(this.#norms, gradientNorm);
    this.#norms = withNorm(this.#norms, gradientNorm);
    if (outlier === undefined) return;
    this.#context.metrics.gradientOutlier();
    if (step < (this.#prepared.resumed?.toldSteps ?? 0)) return;
    this.#context.events.append({ event: 'gradient_outlier', step, gradientNorm, ...outlier });
  }

  /** Before a crash this step was made already: the promise is that it has the same bits. */
  #compareWithBefore(step: Step, weightsHash: string): void {
    const before = this.#prepared.resumed?.redone.get(step);
    if (before === undefined || before === weightsHash) return;
    const message = `step ${step} made again has the weights ${weightsHash}, the ledger had recorded ${before}`;
    throw new RopeteamError('INTEGRITY.REPLAY', { step }, message, {
      hint: 'check memory and disk of this machine and of the workers; the checkpoints before this step are whole',
    });
  }

  epochFinished(
    { epoch, train, validation: measured, best }: RunEffect & { kind: 'epoch-finished' },
    state: RunState,
  ): void {
    const now = performance.now();
    const samples = this.#samplesCommitted - this.#epochStart.samples;
    const samplesPerSecond = samples / Math.max(1e-9, (now - this.#epochStart.at) / 1000);
    this.#epochStart = { at: now, samples: this.#samplesCommitted };
    // Of a run that diverges: the next step will fail, but an event has no word for NaN.
    const validation = measured !== undefined && areFiniteMetrics(measured) ? measured : undefined;
    const metrics = { train, ...(validation === undefined ? {} : { validation }) };
    this.#context.metrics.epochFinished(train, validation);
    if (epoch < (this.#prepared.resumed?.toldEpochs ?? 0)) return;
    this.#context.events.append({
      event: 'epoch_finished',
      epoch,
      epochs: this.#prepared.shape.epochs,
      step: committedSteps(state),
      ...metrics,
      ...(best ? { best } : {}),
      samplesPerSecond,
    });
  }
}

function ledgerBlock(receipt: GradientReceipt): LedgerBlock {
  const { block, worker, attempt, sampleCount: samples, lossSum, gradientHash: gradient } = receipt;
  return { ...block, worker, attempt, samples, lossSum: finiteOrZero(lossSum), gradient };
}

/** A record has no word for NaN: of a step that was left out it says what it was in words. */
const finiteOrZero = (figure: number): number => (Number.isFinite(figure) ? figure : 0);
