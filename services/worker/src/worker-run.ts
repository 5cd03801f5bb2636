import {
  type EvaluationResult,
  type GradientResult,
  type KernelName,
  openWorkerEngine,
  type WorkerEngine,
  type WorkerEngineOptions,
  workerFits,
} from '#engine';
import { xxh64 } from '#kernel';
import { inSpan, type SpanFacts, type WorkerMetrics } from '#telemetry';
import {
  type CoordinatorSession,
  type EvaluationItem,
  type EvaluationReceipt,
  failpoint,
  type GradientItem,
  type GradientReceipt,
  type LeaseSettings,
  type RunPlan,
  ratesOfRound,
  type Step,
  samplesOfLeaseStep,
  spoils,
  type TakenItem,
  targetUnitsOf,
  versionOf,
  type WeightsFrame,
  type WorkerId,
  type WorkerItem,
} from '#training';
import { type LeaseSummary, LeaseWork } from './compute-lease.js';
import type { WorkerConfiguration } from './configuration.js';
import { LeaseState } from './lease-state.js';
import { openShardCache, type ShardCache } from './shard-cache.js';
import { WeightsBoard } from './weights-board.js';

/** One run on this worker: its engine, its rows, the weights it holds. */
export interface WorkerRun extends AsyncDisposable {
  readonly plan: RunPlan;
  readonly weights: WeightsBoard;
  /** Whether leases of whole steps may be given to this worker. */
  readonly takesLeases: boolean;
  /** Hears of an item as it is taken. @returns the version held as the result of a lease, see `job-taken` */
  take(item: WorkerItem): Step | undefined;
  /** A piece of the state that a lease begins with. */
  acceptState(frame: WeightsFrame): void;
  /** Computes a taken item and sends what came of it; `dropped` when it was released or is of the past. */
  compute(taken: TakenItem, signal: AbortSignal): Promise<GradientReceipt | Evaluated | LeaseSummary | 'dropped'>;
}

/** An evaluation's receipt as the queue keeps it. */
type Evaluated = Omit<EvaluationReceipt, 'tally'>;

export interface WorkerRunOptions {
  readonly configuration: WorkerConfiguration;
  /** What this worker offered to compute with, by id. */
  readonly kernels: ReadonlyMap<string, KernelName>;
  readonly session: CoordinatorSession;
  readonly metrics: WorkerMetrics;
  /** The session is over. */
  readonly signal: AbortSignal;
}

export async function openWorkerRun(
  plan: RunPlan,
  { configuration, kernels, session, metrics, signal }: WorkerRunOptions,
): Promise<WorkerRun> {
  const kernel = kernels.get(plan.kernelId);
  if (kernel === undefined) throw new Error(`run ${plan.run} is computed with ${plan.kernelId}, which was not offered`);
  const targetUnits = targetUnitsOf(plan.dataset.preprocessing);
  const engineOptions: WorkerEngineOptions = {
    kernel,
    ...(configuration.blasLibrary === undefined ? {} : { blasLibrary: configuration.blasLibrary }),
    threads: configuration.threads,
    model: plan.model,
    ...(targetUnits === undefined ? {} : { targetUnits }),
    seed: plan.seed,
    shuffle: plan.shuffle,
    ...(plan.windows === undefined ? {} : { windows: plan.windows }),
    trainSamples: plan.dataset.samples.train,
    batch: plan.batch,
    microBatches: plan.microBatches,
    wire: plan.wire,
    ...(plan.local === undefined ? {} : { local: plan.local }),
  };
  const engine = await openWorkerEngine(withLeases(engineOptions, plan.leases));
  const weights = new WeightsBoard(engine);
  const state = new LeaseState(engine, weights);
  const shards = openShardCache({ plan, session, engine, metrics, signal, memoryBytes: configuration.dataMemoryBytes });
  const context: Context = { plan, session, engine, metrics, weights, shards, worker: configuration.name };
  const { leases: settings } = plan;
  const leases =
    settings === undefined || engine.lease === undefined
      ? undefined
      : new LeaseWork({
          ...{ plan, settings, session, engine: engine.lease, weights, state, metrics },
          worker: configuration.name,
        });
  return {
    plan,
    weights,
    takesLeases: leases !== undefined,
    take: (item) => state.take(item),
    acceptState: (frame) => state.accept(frame),
    compute: async (taken, released) => {
      const { item } = taken;
      if (item.kind === 'gradient') return computeGradient(context, taken, item, released);
      if (item.kind === 'evaluation') return evaluate(context, taken, item, released);
      if (leases === undefined) throw new Error('a lease came to a worker that takes none');
      const { epoch, firstPosition } = samplesOfLeaseStep(plan, item.step);
      await shards.needTraining(epoch, firstPosition, samplesOfLeaseStep(plan, item.end - 1).endPosition);
      return leases.compute(taken, item, released);
    },
    [Symbol.asyncDispose]: async () => {
      // An item taken as its run ended waits for weights that nobody sends: without this the worker would wait with it.
      weights.close();
      state.close();
      await leases?.[Symbol.asyncDispose]();
      await engine[Symbol.asyncDispose]();
    },
  };
}

/** With room for leases, if the run has them and this worker the memory. */
function withLeases(options: WorkerEngineOptions, leases: LeaseSettings | undefined): WorkerEngineOptions {
  if (leases === undefined) return options;
  const { optimizer, l2, clipNorm } = leases;
  const update = {
    optimizer,
    ...(l2 === undefined ? {} : { l2 }),
    ...(clipNorm === undefined ? {} : { clipNorm }),
  };
  const wanted = { ...options, update };
  return workerFits(wanted) ? wanted : options;
}

interface Context {
  readonly plan: RunPlan;
  readonly session: CoordinatorSession;
  readonly engine: WorkerEngine;
  readonly metrics: WorkerMetrics;
  readonly weights: WeightsBoard;
  readonly shards: ShardCache;
  readonly worker: WorkerId;
}

async function computeGradient(
  { plan, session, engine, metrics, weights, shards, worker }: Context,
  taken: TakenItem,
  item: GradientItem,
  released: AbortSignal,
): Promise<GradientReceipt | 'dropped'> {
  const takenAt = performance.now();
  await shards.needTraining(item.epoch, item.firstPosition, item.endPosition);
  if ((await weights.until(item.step, released)) !== 'ready') return 'dropped';
  const waitedMs = Math.max(0, takenAt - weights.currentSince);
  const { epoch, firstPosition, endPosition, block } = item;
  const facts = factsOf(taken, worker);
  const { local } = plan;
  const rates =
    local === undefined
      ? {}
      : { learningRates: ratesOfRound({ ...plan, local }, item.step, endPosition - firstPosition) };
  const part = { step: item.step, epoch, firstPosition, endPosition, ...block, ...rates };
  const result = await inSpan('compute', facts, item.trace, () => weights.hold(() => engine.computeGradient(part)));
  failpoint('worker-after-compute');
  const gradientHash = spoils('worker-after-compute') ? spoil(result.gradient) : result.gradientHash;
  const receipt: GradientReceipt = {
    ...{ run: item.run, fence: item.fence, step: item.step, block },
    worker,
    attempt: taken.attempt,
    ...sums(result),
    gradientHash,
    computeMs: result.computeMs,
    waitedMs,
  };
  const computedAt = performance.now();
  await inSpan('upload', facts, item.trace, () =>
    session.sendGradient({ itemId: taken.itemId, receipt }, result.gradient),
  );
  const uploadMs = performance.now() - computedAt;
  metrics.weightsReceived(item.step);
  metrics.payload('sent', result.gradient.byteLength);
  metrics.blockComputed({ samples: result.sampleCount, waitedMs, computeMs: result.computeMs, uploadMs });
  return receipt;
}

/** For tests: flips a bit as a broken memory would, and vouches for what came out. @returns its hash */
function spoil(gradient: Float32Array | Uint8Array): string {
  const bytes = new Uint8Array(gradient.buffer, gradient.byteOffset, gradient.byteLength);
  bytes[2] = (bytes[2] ?? 0) ^ 1;
  return xxh64(bytes.slice()).toString(16).padStart(16, '0');
}

async function evaluate(
  { session, engine, metrics, weights, shards, worker }: Context,
  taken: TakenItem,
  item: EvaluationItem,
  released: AbortSignal,
): Promise<Evaluated | 'dropped'> {
  const { split, begin, end, part, version } = item;
  const letGo = await shards.needStored(split, begin, end);
  let result: EvaluationResult;
  try {
    if ((await weights.until(version, released)) !== 'ready') return 'dropped';
    const begunAt = performance.now();
    result = await inSpan('compute', factsOf(taken, worker), item.trace, () =>
      weights.hold(() => engine.evaluate({ split, begin, end })),
    );
    metrics.evaluated(performance.now() - begunAt);
  } finally {
    letGo();
  }
  const receipt: Evaluated = {
    run: item.run,
    fence: item.fence,
    version,
    split,
    part,
    worker,
    ...sums(result),
  };
  session.send({ kind: 'evaluation-receipt', itemId: taken.itemId, receipt: { ...receipt, tally: result.tally } });
  return receipt;
}

/** What a span of this item says of it. */
function factsOf({ item, itemId, attempt }: TakenItem, worker: WorkerId): SpanFacts {
  return { run: item.run, kind: item.kind, step: versionOf(item), item: itemId, attempt, worker };
}

function sums(result: Omit<GradientResult, 'gradient' | 'gradientHash' | 'computeMs'>) {
  const { sampleCount, lossSum, correctCount, squaredErrorSum, targetSum, targetSquareSum } = result;
  return { sampleCount, lossSum, correctCount, squaredErrorSum, targetSum, targetSquareSum };
}
