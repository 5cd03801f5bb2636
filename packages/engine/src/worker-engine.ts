import { addLossSums, compileModel, type LossSums, weightBytes } from '#kernel';
import { createControlBlock, ENDED_MS, RESULTS, STARTED_MS, TABLE } from './control-block.js';
import type {
  EvaluationRequest,
  EvaluationResult,
  GradientRequest,
  GradientResult,
  LocalOptions,
  ShardRows,
  WorkerEngine,
  WorkerEngineOptions,
} from './engine.js';
import { hashDigits } from './hash-digits.js';
import { checkThreadLimit, loadKernel } from './kernel-loading.js';
import { leaseTable } from './lease-commands.js';
import { bytesAt, createSharedMemory, floatsAt } from './linear-memory.js';
import { localTable, writeLocalRates } from './local-commands.js';
import { EVALUATION_WAVE, foldLossSumsTable, NO_LOSS, readLossSums, sumsTableLength } from './loss-sums.js';
import { EVALUATION_CHUNK, planWorkerMemory, RANGE_FLOATS } from './memory-plan.js';
import { oneAtATime } from './one-at-a-time.js';
import { averageParticipants, busyThreads, crewOfSteps, gradientParticipants, sharesTiles } from './participants.js';
import { checkSubtree } from './reduction-tree.js';
import { createRowStore, type ShardMail } from './row-store.js';
import { collectTally, createSharedTally } from './shared-tally.js';
import { updateTableLengths } from './step-update.js';
import { openThreadCrew } from './thread-crew.js';
import type { ThreadSetup } from './thread-setup.js';
import { checkWindows, windowedRows } from './windowed-rows.js';
import {
  COMPUTE_GRADIENT,
  COMPUTE_GRADIENT_TOGETHER,
  cutBlock,
  EVALUATE,
  LOCAL,
  WIDEN,
  type WidenArguments,
  writeEvaluationArguments,
  writeGradientArguments,
  writeWidenArguments,
} from './worker-commands.js';
import { workerLease } from './worker-lease.js';

/**
 * Opens a worker's kernel: plans and allocates its memory, loads the kernel and starts its threads. Weights and staged
 * weights are zero.
 * @throws RangeError for options out of range, ModelTooLargeError (one too) before anything is allocated
 * @throws KernelUnavailableError when this machine lacks what the kernel needs
 */
export async function openWorkerEngine(options: WorkerEngineOptions): Promise<WorkerEngine> {
  const { threads, model, microBatches, targetUnits } = options;
  const busy = busyThreads(options);
  const plan = planWorkerMemory(options);
  const { parameterCount, subtreeGradients } = plan;
  const kernel = await loadKernel(options);
  checkThreadLimit(kernel, threads);
  const memory = createSharedMemory(plan.bytes);
  const sumsLength = sumsTableLength(microBatches);
  const table =
    options.update === undefined ? undefined : leaseTable(sumsLength, updateTableLengths({ ...options.update, model }));
  const ofRounds = options.local === undefined ? undefined : localTable(options, options.local);
  const control = createControlBlock(threads, (table ?? ofRounds)?.length ?? sumsLength);
  const tally = createSharedTally(model, targetUnits);
  const setups = Array.from(
    { length: threads },
    (_, index): ThreadSetup => ({ role: 'worker', index, control, memory, kernel, options, plan, tally }),
  );
  const crew = await openThreadCrew(new URL('./kernel-thread.js', import.meta.url), setups, control);

  const { numbers } = control;
  const hash = new BigUint64Array(numbers.buffer, 8 * RESULTS, 1);
  const weights = plan.weights.map((address) =>
    plan.widened === undefined
      ? floatsAt(memory, address, parameterCount)
      : new Uint16Array(memory.buffer, address, weightBytes(options.wire ?? 'float32', parameterCount) / 2),
  );
  const gradient =
    plan.local === undefined
      ? bytesAt(memory, subtreeGradients[0]!, plan.nodeBytes) // there is always at least one subtree
      : bytesAt(memory, plan.local.levels[0]!, plan.local.nodeBytes); // and one level
  const { targetCount } = compileModel(model);
  const windows = windowedRows(options, plan, memory);
  const rows = createRowStore(model.inputs, targetCount);
  let current: 0 | 1 = 0;
  /** What the weights that are computed on have still to be made from; nothing where those that travel are computed on. */
  let toWiden: WidenArguments | undefined;
  const calls = oneAtATime();

  const staged = (): 0 | 1 => (current === 0 ? 1 : 0);

  /** The weights to compute on: the current ones, widened if they travel in another format. */
  async function computable(): Promise<number> {
    if (plan.widened === undefined) return plan.weights[current];
    if (toWiden !== undefined) {
      writeWidenArguments(control, toWiden);
      const pieces = Math.ceil(parameterCount / RANGE_FLOATS);
      await crew.run({ command: WIDEN, participants: averageParticipants(busy, pieces), phases: 1 });
      toWiden = undefined;
    }
    return plan.widened;
  }

  async function computeBlock(request: GradientRequest, weightsAt: number): Promise<void> {
    const { firstPosition, endPosition, begin, end } = request;
    const { count } = cutBlock(begin, end, subtreeGradients.length);
    const samplesEach = (endPosition - firstPosition) / microBatches;
    const together = sharesTiles(options.sharing, busy, count, samplesEach, parameterCount);
    writeGradientArguments(control, { ...request, weights: weightsAt, together });
    if (together) {
      await crew.run({ command: COMPUTE_GRADIENT_TOGETHER, participants: busy, phases: 1 });
      return;
    }
    const pieces = Math.max(count, Math.ceil(parameterCount / RANGE_FLOATS));
    const samples = samplesEach * (end - begin);
    await crew.run({
      command: COMPUTE_GRADIENT,
      participants: count === 1 ? 1 : gradientParticipants(busy, pieces, samples, parameterCount),
      phases: count === 1 ? 1 : 2,
    });
  }

  async function computeGradient(request: GradientRequest): Promise<GradientResult> {
    checkGradientRequest(request, options);
    const { begin, end } = request;
    checkWindows(windows, request.epoch, request.firstPosition, request.endPosition);
    const weightsAt = await computable();
    if (options.local !== undefined && ofRounds !== undefined) {
      const has = { busyThreads: busy, parameterCount, subtrees: subtreeGradients.length };
      const { together, participants } = crewOfSteps({ ...options, ...options.local }, has);
      writeGradientArguments(control, { ...request, weights: weightsAt, together });
      writeLocalRates(control, ofRounds, checkedRates(request, options, options.local));
      await crew.run({ command: LOCAL, participants, phases: 1 });
    } else await computeBlock(request, weightsAt);
    return {
      ...foldLossSumsTable(numbers, TABLE, end - begin),
      gradient,
      gradientHash: hashDigits(hash[0]!),
      computeMs: numbers[ENDED_MS]! - numbers[STARTED_MS]!,
    };
  }

  async function evaluate({ split, begin, end }: EvaluationRequest): Promise<EvaluationResult> {
    checkRange(`samples of split "${split}"`, begin, end);
    let total: LossSums | undefined;
    tally.cells.fill(0); // whatever one that failed has left
    const counted = collectTally(tally);
    const weightsAt = await computable();
    for (let from = begin; from < end; from += EVALUATION_WAVE * EVALUATION_CHUNK) {
      const to = Math.min(end, from + EVALUATION_WAVE * EVALUATION_CHUNK);
      const chunks = Math.ceil((to - from) / EVALUATION_CHUNK);
      writeEvaluationArguments(control, { split, begin: from, end: to, weights: weightsAt });
      await crew.run({
        command: EVALUATE,
        participants: gradientParticipants(busy, chunks, to - from, parameterCount),
        phases: 1,
      });
      for (let chunk = 0; chunk < chunks; chunk++) {
        const sums = readLossSums(numbers, TABLE, chunk);
        total = total === undefined ? sums : addLossSums(total, sums);
      }
      counted.take(chunks);
    }
    return { ...(total ?? NO_LOSS), tally: counted.result() };
  }

  /** The same rows where all threads see them: those of the training split in the kernel's memory if there is room. */
  function inSharedMemory({ split, begin, end, features, targets }: ShardRows): ShardRows {
    const { trainingRows } = plan;
    if (split !== 'train' || trainingRows === undefined) {
      return { split, begin, end, features: shared(features), targets: shared(targets) };
    }
    const move = (values: Float32Array, table: number, width: number): Float32Array => {
      const place = floatsAt(memory, table + 4 * width * begin, (end - begin) * width);
      place.set(values);
      return place;
    };
    return {
      ...{ split, begin, end },
      features: move(features, trainingRows.features, model.inputs),
      targets: move(targets, trainingRows.targets, targetCount),
    };
  }

  const lease = workerLease({
    ...{ options, plan, control, memory, crew, calls, table, windows, busyThreads: busy },
    updatedWeights: () => plan.lease?.masters ?? plan.weights[current],
    computable,
    receivedWeights: () => plan.lease?.masters ?? plan.weights[staged()],
    adoptReceived: () => {
      const masters = plan.lease?.masters;
      if (masters === undefined) adoptStagedWeights();
      else toWiden = { from: masters, masters: true };
    },
  });

  function adoptStagedWeights(): void {
    if (calls.busy) throw new Error('weights were adopted while a call was using the current ones: await it first');
    current = staged();
    if (plan.widened !== undefined) toWiden = { from: plan.weights[current], masters: false };
  }

  return {
    kernelId: crew.kernelId,
    lease,
    threads,
    parameterCount,
    get stagedWeights() {
      return weights[staged()]!; // two buffers were planned
    },
    adoptStagedWeights,
    addShard(shard: ShardRows) {
      checkTrainingRows(shard, options);
      rows.add(shard);
      const kept = inSharedMemory(shard);
      rows.add(kept); // in its place
      crew.post({ kind: 'add', shard: kept } satisfies ShardMail);
    },
    dropShard({ split, begin, end }) {
      if (split === 'train') throw new RangeError('training rows are kept as long as the run');
      rows.drop({ split, begin, end });
      crew.post({ kind: 'drop', shard: { split, begin, end } } satisfies ShardMail);
    },
    windows,
    computeGradient: (request) => calls.run(() => computeGradient(request)),
    evaluate: (request) => calls.run(() => evaluate(request)),
    [Symbol.asyncDispose]: () => crew[Symbol.asyncDispose](),
  };
}

function shared(values: Float32Array): Float32Array {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const copy = new Float32Array(new SharedArrayBuffer(values.byteLength));
  copy.set(values);
  return copy;
}

function checkTrainingRows({ split, begin, end }: ShardRows, { trainSamples, windows }: WorkerEngineOptions): void {
  if (split !== 'train') return;
  if (windows !== undefined) throw new RangeError('training rows of a run in windows are put into those');
  if (end <= trainSamples) return;
  throw new RangeError(`training rows [${begin}, ${end}) are not among the ${trainSamples} of the split`);
}

function checkGradientRequest(
  request: GradientRequest,
  { microBatches, batch, trainSamples }: WorkerEngineOptions,
): void {
  const { step, epoch, firstPosition, endPosition } = request;
  if (!Number.isSafeInteger(step) || step < 0) throw new RangeError(`step must be a natural number, received ${step}`);
  checkSubtree(request, microBatches);
  if (!Number.isSafeInteger(epoch) || epoch < 0)
    throw new RangeError(`epoch must be a natural number, received ${epoch}`);
  checkRange('positions', firstPosition, endPosition);
  if (endPosition <= trainSamples && endPosition - firstPosition <= batch) return;
  throw new RangeError(
    `positions [${firstPosition}, ${endPosition}) are not a batch of at most ${batch} of ${trainSamples} samples`,
  );
}

/** The learning rates of a round's local steps: as many as the replica with the most samples makes. */
function checkedRates(
  { firstPosition, endPosition, learningRates = [] }: GradientRequest,
  { microBatches: replicas }: WorkerEngineOptions,
  { batch, steps }: LocalOptions,
): readonly number[] {
  const needed = Math.ceil(Math.ceil((endPosition - firstPosition) / replicas) / batch);
  if (needed <= steps && learningRates.length === needed && learningRates.every(Number.isFinite)) return learningRates;
  throw new RangeError(
    `a round of ${endPosition - firstPosition} samples takes ${needed} of at most ${steps} local steps, received the learning rates ${learningRates.join(', ')}`,
  );
}

function checkRange(what: string, begin: number, end: number): void {
  if (Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin <= end) return;
  throw new RangeError(`${what} [${begin}, ${end}) are not a range`);
}
