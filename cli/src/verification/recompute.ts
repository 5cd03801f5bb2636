/** Computes steps of a run once more, with its kernel and its data, and compares the bits with the ledger's. */
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { type LeaseEngine, offeredKernels, openWorkerEngine, type WorkerEngine, windowFiller } from '#engine';
import { resolveModel } from '#job';
import { compileModel, initialWeights, learningRateAt, type ModelSpec } from '#kernel';
import { decodeShard, loadCheckpoint, type PreparedDataset, type ShardContent } from '#storage';
import {
  type JobSpec,
  type LedgerRecord,
  RopeteamError,
  type RunShape,
  type ShardInfo,
  samplesOfStep,
  shapeRun,
  fence as toFence,
  windowsOf,
} from '#training';
import { answer, type Check, type Problem, unknown } from './check.js';
import type { Evidence } from './evidence.js';

const WORDS = { name: 'recomputed', meaning: 'steps computed again have the bits of the ledger' };
const LEDGER = 'ledger.ndjson';

export interface RecomputeOptions {
  /** How many steps, chosen at random. */
  readonly count: number;
  readonly dataset: PreparedDataset;
  readonly signal: AbortSignal;
  /** Told before each step that is computed, also of those on the way to a chosen one. */
  onStep?(step: number, chosen: readonly number[]): void;
}

/** A run as far as computing needs it. */
interface Computation {
  readonly job: JobSpec;
  readonly shape: RunShape;
  readonly records: readonly LedgerRecord[];
  readonly engine: WorkerEngine;
  readonly lease: LeaseEngine;
  readonly rows: NeedRows;
}

/** Where computing can begin: the state after `step` steps. */
interface Beginning {
  readonly step: number;
  /** Absent: the weights that follow from the seed. */
  readonly checkpoint?: string;
}

/**
 * Every chosen step is computed from the nearest state below it: a checkpoint, the first weights, or the step before. On the
 * way the weights of every step are compared too, so nothing between passes unseen.
 * @throws RopeteamError ENVIRONMENT.KERNEL when this machine does not have the run's kernel
 */
export async function recompute(evidence: Evidence, options: RecomputeOptions): Promise<Check> {
  const { ledger, job } = evidence;
  const { records } = ledger;
  if (job.kind !== 'read') return unknown(WORDS, 'needs job.yaml');
  if (records.length === 0) return unknown(WORDS, 'no step was committed');
  const spec = job.value.spec;
  const beginnings = beginningsOf(evidence);
  const first = beginnings[0];
  if (first === undefined) {
    return unknown(WORDS, 'the first weights came from a file of --init-from, and there is no checkpoint to begin at');
  }
  const chosen = chooseSteps(first.step, records.length, options.count);
  if (chosen.length === 0) return unknown(WORDS, 'no step lies behind a state to begin at');
  const model = resolveModel(spec, options.dataset.info);
  await using engine = await openEngine(spec, model, options.dataset, records[0]?.kernel ?? '');
  if (engine.lease === undefined) throw new Error('an engine was opened for updates and cannot make any');
  const samples = options.dataset.info.samples;
  const rows = await openRows(engine, spec, options.dataset);
  const shape = shapeRun(evidence.folder.run, toFence(0), spec.train, samples, engine.parameterCount);
  const computation: Computation = { job: spec, shape, records, engine, lease: engine.lease, rows };

  const problems: Problem[] = [];
  let at: number | undefined;
  let passed = 0;
  for (const step of chosen) {
    const nearest = beginnings.findLast((beginning) => beginning.step <= step) ?? first;
    if (at === undefined || nearest.step > at) {
      await begin(computation, nearest, model, evidence);
      at = nearest.step;
    }
    for (; at <= step && problems.length === 0; at++) {
      options.signal.throwIfAborted();
      options.onStep?.(at, chosen);
      problems.push(...(await computeStep(computation, at, at === step)));
      passed++;
    }
    if (problems.length > 0) break;
  }
  const kernel = engine.kernelId;
  return answer(WORDS, `${steps(chosen)} with ${kernel}, and ${passed - chosen.length} more on the way`, problems);
}

/** One step from the engine's state, which it leaves one step further on. @param blockwise whether each block is compared too */
async function computeStep(run: Computation, step: number, blockwise: boolean): Promise<readonly Problem[]> {
  const { job, shape, records, engine, lease, rows } = run;
  const record = records[step];
  if (record === undefined) throw new RangeError(`there is no record of step ${step}`);
  const differs = (what: string, computed: string | number, recorded: string | number): readonly Problem[] =>
    computed === recorded
      ? []
      : [
          {
            file: LEDGER,
            line: step + 1,
            message: `${what} of step ${step} comes out as ${computed}, not ${recorded}`,
          },
        ];
  const cut = samplesOfStep(shape, step);
  const problems: Problem[] = [];
  await rows(cut.epoch, cut.firstPosition, cut.endPosition);
  for (const block of blockwise ? record.blocks : []) {
    const { begin, end } = block;
    const result = await engine.computeGradient({ step, ...cut, begin, end });
    problems.push(
      ...differs(`the gradient of block ${begin}-${end}`, result.gradientHash, block.gradient),
      ...differs(`the loss of block ${begin}-${end}`, result.lossSum, block.lossSum),
    );
  }
  const { schedule, optimizer } = job.train;
  const learningRate = learningRateAt(schedule, optimizer, step, shape.steps);
  const made = await lease.run({ epoch: cut.epoch, firstStep: step, steps: [{ ...cut, learningRate }] });
  const [result] = made.steps;
  if (result === undefined) throw new Error(`the engine made no step ${step}`);
  return [
    ...problems,
    ...differs('the gradient’s norm', result.gradientNorm, record.gradientNorm),
    ...differs('the hash of the weights', result.weightsHash, record.weights),
  ];
}

async function begin(
  { engine, lease, job }: Computation,
  { step, checkpoint }: Beginning,
  model: ModelSpec,
  { folder }: Evidence,
): Promise<void> {
  if (checkpoint === undefined) {
    lease.receivedWeights.set(initialWeights(compileModel(model), job.train.seed));
    lease.optimizerState.fill(0);
  } else {
    const { weights, optimizerState } = await loadCheckpoint(join(folder.path, checkpoint));
    if (weights.length !== engine.parameterCount || optimizerState.length !== lease.optimizerState.length) {
      throw new RopeteamError(
        'STORAGE.CORRUPT',
        { file: checkpoint },
        `${checkpoint} holds ${weights.length} weights and ${optimizerState.length} floats of optimizer state for step ${step}; the job's model has ${engine.parameterCount} and ${lease.optimizerState.length}`,
      );
    }
    lease.receivedWeights.set(weights);
    lease.optimizerState.set(optimizerState);
  }
  lease.adoptReceived();
}

/** States there are, earliest first: valid checkpoints whose weights are the ledger's, and the first weights. */
function beginningsOf({ ledger, checkpoints }: Evidence): readonly Beginning[] {
  const fromSeed = ledger.records[0]?.initFrom === undefined ? [{ step: 0 }] : [];
  const saved = checkpoints.flatMap(({ file, content }) => {
    if (content.kind !== 'read') return [];
    const { step, weights } = content.value;
    return step > 0 && ledger.records[step - 1]?.weights === weights ? [{ step, checkpoint: file }] : [];
  });
  return [...fromSeed, ...saved];
}

/** `count` different steps of `[from, end)`, or all of them, in order. */
function chooseSteps(from: number, end: number, count: number): readonly number[] {
  if (count >= end - from) return Array.from({ length: Math.max(0, end - from) }, (_, index) => from + index);
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(randomInt(from, end));
  return [...chosen].sort((left, right) => left - right);
}

/** Resolves when the rows at positions `[begin, end)` of an epoch are with the engine. */
type NeedRows = (epoch: number, begin: number, end: number) => Promise<void>;

/** All rows at once, or in windows as the run had them. */
async function openRows(engine: WorkerEngine, { train }: JobSpec, dataset: PreparedDataset): Promise<NeedRows> {
  const { info } = dataset;
  const shards = info.shards.filter(({ split }) => split === 'train');
  const read = async (shard: ShardInfo): Promise<ShardContent> =>
    decodeShard(await dataset.readShard('train', shard.index), shard, info);
  const { windows } = windowsOf(train, info);
  if (windows === undefined || engine.windows === undefined) {
    for (const shard of shards) engine.addShard(await read(shard));
    return () => Promise.resolve();
  }
  const readBlock = (block: number): Promise<ShardContent> => read(shards[block]!); // a block is a shard
  return windowFiller({ rows: engine.windows, windows: 0, parallel: 1, readBlock }).need;
}

async function openEngine(
  { train }: JobSpec,
  model: ModelSpec,
  { info }: PreparedDataset,
  kernelId: string,
): Promise<WorkerEngine> {
  const kernel = (await offeredKernels('auto')).get(kernelId);
  if (kernel === undefined) {
    throw new RopeteamError(
      'ENVIRONMENT.KERNEL',
      { kernel: kernelId },
      `the run was computed by kernel ${kernelId}, which this machine does not have`,
      { hint: 'recompute on a machine like the one it was trained on; `ropeteam doctor` lists the kernels' },
    );
  }
  const { optimizer, clipNorm, l2, seed, shuffle, batch, microBatches, wire } = train;
  const { windows } = windowsOf(train, info);
  if (microBatches === 'auto') throw new RangeError('an effective job says its micro-batches');
  return openWorkerEngine({
    ...{ kernel, threads: availableParallelism(), model, seed, batch, microBatches, wire },
    shuffle: shuffle !== false,
    ...(windows === undefined ? {} : { windows }),
    trainSamples: info.samples.train,
    update: { optimizer, ...(clipNorm === undefined ? {} : { clipNorm }), ...(l2 === undefined ? {} : { l2 }) },
  });
}

function steps(chosen: readonly number[]): string {
  const shown = chosen.length <= 8 ? chosen.join(', ') : `${chosen.slice(0, 8).join(', ')}, …`;
  return `${chosen.length === 1 ? 'step' : 'steps'} ${shown}`;
}
