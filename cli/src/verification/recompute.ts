/** Computes steps of a run once more, with its kernel and its data, and compares the bits with the ledger's. */
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { offeredKernels, windowFiller } from '#engine';
import { resolveModel } from '#job';
import { compileModel, initialWeights, type ModelSpec } from '#kernel';
import { decodeShard, loadCheckpoint, type PreparedDataset, type ShardContent } from '#storage';
import {
  type DatasetInfo,
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
import { openReplay, type Replay } from './replay.js';

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
  readonly records: readonly LedgerRecord[];
  readonly shape: RunShape;
  readonly replay: Replay;
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
  const { info } = options.dataset;
  const shape = shapeRun(evidence.folder.run, toFence(0), spec.train, info.samples, compileModel(model).parameterCount);
  const { windows } = windowsOf(spec.train, info);
  const kernel = await kernelOf(records[0]?.kernel ?? '');
  await using replay = await openReplay({ kernel, train: spec.train, model, shape, windows });
  const read = async (shard: ShardInfo): Promise<ShardContent> =>
    decodeShard(await options.dataset.readShard('train', shard.index), shard, info);
  const rows = await openRows(replay, info, read);
  const computation: Computation = { job: spec, shape, records, replay, rows };

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
  return answer(
    WORDS,
    `${steps(chosen)} with ${replay.kernelId}, and ${passed - chosen.length} more on the way`,
    problems,
  );
}

/** One step from the engine's state, which it leaves one step further on. @param blockwise whether each block is compared too */
async function computeStep(run: Computation, step: number, blockwise: boolean): Promise<readonly Problem[]> {
  const { shape, records, replay, rows } = run;
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
  const problems: Problem[] = [];
  const { epoch, firstPosition, endPosition } = samplesOfStep(shape, step);
  await rows(epoch, firstPosition, endPosition);
  for (const block of blockwise ? record.blocks : []) {
    const { begin, end } = block;
    const result = await replay.gradient(step, block);
    problems.push(
      ...differs(`the gradient of block ${begin}-${end}`, result.gradientHash, block.gradient),
      ...differs(`the loss of block ${begin}-${end}`, finiteOrZero(result.lossSum), block.lossSum),
    );
  }
  const result = await replay.make(step, record.rollbacks ?? []);
  if (record.skipped !== undefined) {
    const before = records[step - 1]?.weights ?? result.startHash;
    return [
      ...problems,
      ...(result.finite ? differs('the update', 'finite', 'left out as not finite') : []),
      ...differs('the hash of the weights, which were left as they were,', before, record.weights),
    ];
  }
  return [
    ...problems,
    ...differs('the gradient’s norm', result.gradientNorm, record.gradientNorm),
    ...differs('the hash of the weights', result.weightsHash, record.weights),
  ];
}

/** What the ledger writes of a figure that is not finite. */
const finiteOrZero = (figure: number): number => (Number.isFinite(figure) ? figure : 0);

async function begin(
  { replay, job }: Computation,
  { step, checkpoint }: Beginning,
  model: ModelSpec,
  { folder }: Evidence,
): Promise<void> {
  if (checkpoint === undefined) {
    await replay.begin(initialWeights(compileModel(model), job.train.seed), undefined);
    return;
  }
  const { weights, optimizerState } = await loadCheckpoint(join(folder.path, checkpoint));
  const { parameterCount, stateLength } = replay;
  if (weights.length !== parameterCount || optimizerState.length !== stateLength) {
    throw new RopeteamError(
      'STORAGE.CORRUPT',
      { file: checkpoint },
      `${checkpoint} holds ${weights.length} weights and ${optimizerState.length} floats of optimizer state for step ${step}; the job's model has ${parameterCount} and ${stateLength}`,
    );
  }
  await replay.begin(weights, optimizerState);
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

async function kernelOf(kernelId: string) {
  const kernel = (await offeredKernels('auto')).get(kernelId);
  if (kernel !== undefined) return kernel;
  throw new RopeteamError(
    'ENVIRONMENT.KERNEL',
    { kernel: kernelId },
    `the run was computed by kernel ${kernelId}, which this machine does not have`,
    { hint: 'recompute on a machine like the one it was trained on; `ropeteam doctor` lists the kernels' },
  );
}

function steps(chosen: readonly number[]): string {
  const shown = chosen.length <= 8 ? chosen.join(', ') : `${chosen.slice(0, 8).join(', ')}, …`;
  return `${chosen.length === 1 ? 'step' : 'steps'} ${shown}`;
}

/** Resolves when the rows at positions `[begin, end)` of an epoch are with the engine. */
type NeedRows = (epoch: number, begin: number, end: number) => Promise<void>;

/** All rows at once, or in windows as the run had them. */
async function openRows(
  replay: Replay,
  info: DatasetInfo,
  read: (shard: ShardInfo) => Promise<ShardContent>,
): Promise<NeedRows> {
  const shards = info.shards.filter(({ split }) => split === 'train');
  if (replay.windows === undefined) {
    for (const shard of shards) replay.addShard(await read(shard));
    return () => Promise.resolve();
  }
  const readBlock = (block: number): Promise<ShardContent> => read(shards[block]!); // a block is a shard
  return windowFiller({ rows: replay.windows, windows: 0, parallel: 1, readBlock }).need;
}
