/** Makes steps of a run once more on this machine, one after the other: in one engine, or as the rounds of local steps. */
import { availableParallelism } from 'node:os';
import { type GradientResult, openAveragerEngine, openWorkerEngine, type WorkerEngine } from '#engine';
import type { ModelSpec, WindowCut } from '#kernel';
import {
  averageTerms,
  type Block,
  coordinatorUpdate,
  isShuffled,
  type JobSpec,
  type RunShape,
  rateOfStep,
  ratesOfRound,
  samplesOfStep,
} from '#training';

export interface ReplayOptions {
  readonly kernel: Parameters<typeof openWorkerEngine>[0]['kernel'];
  readonly train: JobSpec['train'];
  readonly model: ModelSpec;
  readonly shape: RunShape;
  /** Absent: all rows are held. */
  readonly windows: WindowCut | undefined;
}

export interface MadeStep {
  readonly finite: boolean;
  readonly gradientNorm: number;
  readonly weightsHash: string;
  /** Of the weights before it; asked for where they were left as they were. */
  readonly startHash: string;
}

/** A run's state, and the steps that lead on from it. */
export interface Replay extends AsyncDisposable {
  readonly kernelId: string;
  readonly parameterCount: number;
  /** Floats of optimizer state. */
  readonly stateLength: number;
  readonly addShard: WorkerEngine['addShard'];
  /** Present: rows come in windows, not by `addShard`. */
  readonly windows: WorkerEngine['windows'];
  begin(weights: Float32Array, optimizerState: Float32Array | undefined): Promise<void>;
  /** A block of step `step`, which is the one after the current state. */
  gradient(step: number, block: Block): Promise<Pick<GradientResult, 'gradientHash' | 'lossSum'>>;
  /** Makes it, and leaves the state after it. */
  make(step: number, rollbacks: readonly number[]): Promise<MadeStep>;
}

export function openReplay(options: ReplayOptions): Promise<Replay> {
  return options.shape.local === undefined ? replaySteps(options) : replayRounds(options, options.shape.local);
}

async function replaySteps(options: ReplayOptions): Promise<Replay> {
  const { train, shape } = options;
  const { optimizer, clipNorm, l2 } = train;
  const engine = await openWorkerEngine({
    ...workerOptions(options),
    update: { optimizer, ...(clipNorm === undefined ? {} : { clipNorm }), ...(l2 === undefined ? {} : { l2 }) },
  });
  const { lease } = engine;
  if (lease === undefined) throw new Error('an engine was opened for updates and cannot make any');
  return {
    ...whatAllHave(engine, lease.optimizerState.length),
    async begin(weights, optimizerState) {
      lease.receivedWeights.set(weights);
      if (optimizerState === undefined) lease.optimizerState.fill(0);
      else lease.optimizerState.set(optimizerState);
      lease.adoptReceived();
    },
    gradient: (step, { begin, end }) => engine.computeGradient({ step, ...samplesOfStep(shape, step), begin, end }),
    async make(step, rollbacks) {
      const { epoch, ...cut } = samplesOfStep(shape, step);
      const steps = [{ ...cut, learningRate: rateOfStep(train, shape, step, rollbacks) }];
      const made = await lease.run({ epoch, firstStep: step, steps });
      const [result] = made.steps;
      if (result === undefined) throw new Error(`the engine made no step ${step}`);
      return { ...result, startHash: made.startHash };
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

async function replayRounds(options: ReplayOptions, local: NonNullable<RunShape['local']>): Promise<Replay> {
  const { train, shape, model, kernel } = options;
  const { optimizer, schedule, clipNorm, l2, wire, seed } = train;
  const settings = {
    ...{ ...local, optimizer, schedule },
    ...(clipNorm === undefined ? {} : { clipNorm }),
    ...(l2 === undefined ? {} : { l2 }),
  };
  const { batch, microBatches, samples } = shape;
  const averager = await openAveragerEngine({
    ...{ kernel, threads: availableParallelism(), model, microBatches, wire, seed },
    ...coordinatorUpdate(train),
  });
  const worker = await openWorkerEngine({ ...workerOptions(options), local: settings }).catch(
    async (error: unknown) => {
      await averager[Symbol.asyncDispose]();
      throw error;
    },
  );

  function publish(): void {
    const { buffer, byteOffset, byteLength } = worker.stagedWeights;
    new Uint8Array(buffer, byteOffset, byteLength).set(averager.wireWeights);
    worker.adoptStagedWeights();
  }

  function gradient(step: number, { begin, end }: Block): Promise<GradientResult> {
    const cut = samplesOfStep(shape, step);
    const plan = { batch, microBatches, local: settings, dataset: { samples } };
    const learningRates = ratesOfRound(plan, step, cut.endPosition - cut.firstPosition);
    return worker.computeGradient({ step, ...cut, begin, end, learningRates });
  }

  return {
    ...whatAllHave(worker, averager.optimizerState.length),
    async begin(weights, optimizerState) {
      averager.weights.set(weights);
      if (optimizerState === undefined) averager.optimizerState.fill(0);
      else averager.optimizerState.set(optimizerState);
      await averager.roundWeights();
      publish();
    },
    gradient,
    async make(step, rollbacks) {
      const whole = { begin: 0, end: microBatches };
      const sum = await gradient(step, whole);
      averager.inbox(0).set(sum.gradient);
      const { divisor: sampleCount, ...terms } = averageTerms(train, shape, step, sum.sampleCount, rollbacks);
      const leaveOut = !Number.isFinite(sum.lossSum);
      const blocks = [{ slot: 0, ...whole }];
      const made = await averager.average({ step, blocks, sampleCount, leaveOut, ...terms });
      publish();
      return { ...made, startHash: made.weightsHash };
    },
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]();
      await averager[Symbol.asyncDispose]();
    },
  };
}

function workerOptions({ kernel, train, model, shape, windows }: ReplayOptions) {
  const { seed, wire } = train;
  const held = windows === undefined ? {} : { windows };
  const shuffle = isShuffled(train.shuffle);
  const { batch, microBatches, samples } = shape;
  const threads = availableParallelism();
  return { kernel, threads, model, seed, shuffle, batch, microBatches, wire, trainSamples: samples.train, ...held };
}

const whatAllHave = (engine: WorkerEngine, stateLength: number) => ({
  kernelId: engine.kernelId,
  parameterCount: engine.parameterCount,
  stateLength,
  windows: engine.windows,
  addShard: (shard: Parameters<WorkerEngine['addShard']>[0]) => engine.addShard(shard),
});
