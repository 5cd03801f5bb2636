/**
 * Whether the records of a ledger can be those of one training: each question answered record by record, from the job and
 * the data set's size alone. The chain of hashes is checked where the file is read; this asks what the lines say.
 */
import { microBatchRange, type WindowCut } from '#kernel';
import type { JobSpec } from './job-spec.js';
import type { LedgerRecord } from './ledger-record.js';
import { rateOfStep } from './local-steps.js';
import { MOST_ROLLBACKS } from './non-finite.js';
import { foldTree } from './reduction-tree.js';
import { type RunShape, samplesOfStep } from './run-shape.js';
import { startSampleCount } from './sample-count.js';

/** What is wrong, and on which line of the ledger (from 1). */
export interface LedgerProblem {
  readonly line: number;
  readonly message: string;
}

/** What the records have to follow from. */
export interface LedgerGround {
  readonly train: JobSpec['train'];
  readonly shape: Pick<RunShape, 'batch' | 'microBatches' | 'stepsPerEpoch' | 'steps' | 'local'> & {
    readonly samples: { readonly train: number };
    readonly windows?: WindowCut;
  };
}

type Records = readonly LedgerRecord[];

/** Steps 0, 1, 2, … without gap or repeat. */
export function checkSteps(records: Records): readonly LedgerProblem[] {
  let expected = 0;
  return each(records, ({ step }) => {
    const wanted = expected;
    expected = step + 1;
    return step === wanted ? [] : [`it is of step ${step}, the line before it asks for ${wanted}`];
  });
}

/**
 * One run wrote all of it, and fences never go down: no coordinator wrote after its successor.
 * @param folderFence the highest fence that was ever taken in the run's folder, where that is known
 */
export function checkWriters(records: Records, folderFence: number | undefined): readonly LedgerProblem[] {
  const run = records[0]?.run;
  let highest = 0;
  return each(records, ({ run: written, fence }) => {
    const before = highest;
    highest = Math.max(highest, fence);
    return [
      ...(written === run ? [] : [`it is of run ${written}, the first line of run ${run}`]),
      ...(fence >= before ? [] : [`fence ${fence} wrote it, after fence ${before} had written`]),
      ...(folderFence === undefined || fence <= folderFence
        ? []
        : [`fence ${fence} wrote it, but the folder has never given out more than ${folderFence}`]),
    ];
  });
}

/** A run never mixes kernels: their bits differ. */
export function checkKernel(records: Records): readonly LedgerProblem[] {
  const kernel = records[0]?.kernel;
  return each(records, (record) =>
    record.kernel === kernel ? [] : [`kernel ${record.kernel} computed it, ${kernel} the first step`],
  );
}

/**
 * Every sample of every epoch exactly once: each step's positions are those that follow from the job, its blocks cover
 * all micro-batches once, and walked through the epoch's permutation they meet each sample once.
 */
export function checkSamples(records: Records, { train, shape }: LedgerGround): readonly LedgerProblem[] {
  const count = startSampleCount(train.seed, shape);
  const problems = each(records, (record) => {
    const { epoch, firstPosition, endPosition } = samplesOfStep(shape, record.step);
    const wanted = `positions ${firstPosition}..${endPosition} of epoch ${epoch}`;
    const found = `positions ${record.firstPosition}..${record.endPosition} of epoch ${record.epoch}`;
    if (found !== wanted) return [`step ${record.step} has ${found}, the job asks for ${wanted}`];
    return problemsOfBlocks(record, shape.microBatches);
  });
  return [...problems, ...count(records)].sort((left, right) => left.line - right.line);
}

/** Counts, losses and rates are what the blocks and the schedule make of them. */
export function checkFigures(records: Records, { train, shape }: LedgerGround): readonly LedgerProblem[] {
  return each(records, (record) => {
    const { step, blocks, samples, loss, learningRate } = record;
    const { rollbacks = [], skipped } = record;
    const rate = rateOfStep(train, shape, step, rollbacks);
    const sum = skipped === undefined ? sumOfBlocks(record, shape.microBatches) : loss * samples;
    const counted = blocks.reduce((total, block) => total + block.samples, 0);
    return [
      ...(samples === counted ? [] : [`it says ${samples} samples, its blocks have ${counted}`]),
      ...(sum === undefined || sum / samples === loss
        ? []
        : [`its loss is ${loss}, the sums of its blocks make it ${sum / samples}`]),
      ...problemsOfPolicy(record, train),
      ...(learningRate === rate ? [] : [`its learning rate is ${learningRate}, the schedule's is ${rate}`]),
    ];
  });
}

/** A step is left out, or a run goes back, only where the job says so. */
function problemsOfPolicy({ skipped, rollbacks = [], step }: LedgerRecord, train: JobSpec['train']): readonly string[] {
  return [
    ...(skipped === undefined || train.onNonFinite === 'skip'
      ? []
      : [`step ${step} was left out, and train.onNonFinite is ${train.onNonFinite}`]),
    ...(rollbacks.length === 0 || (train.onNonFinite === 'rollback' && rollbacks.length <= MOST_ROLLBACKS)
      ? []
      : [`it says that the run went back ${rollbacks.length} times, and train.onNonFinite is ${train.onNonFinite}`]),
  ];
}

function problemsOfBlocks(record: LedgerRecord, microBatches: number): readonly string[] {
  const { firstPosition, endPosition, blocks } = record;
  try {
    foldTree(
      blocks.map(({ begin, end }) => ({ begin, end, value: undefined })),
      microBatches,
      () => undefined,
    );
  } catch (error) {
    if (error instanceof RangeError)
      return [`its blocks are not the step's ${microBatches} micro-batches: ${error.message}`];
    throw error;
  }
  return blocks.flatMap(({ begin, end, samples }) => {
    const from = microBatchRange(firstPosition, endPosition, microBatches, begin).begin;
    const to = microBatchRange(firstPosition, endPosition, microBatches, end - 1).end;
    return to - from === samples ? [] : [`its block ${begin}-${end} says ${samples} samples, it has ${to - from}`];
  });
}

/** Undefined when the blocks do not cover the step, which `checkSamples` tells. */
function sumOfBlocks({ blocks }: LedgerRecord, microBatches: number): number | undefined {
  try {
    return foldTree(
      blocks.map(({ begin, end, lossSum }) => ({ begin, end, value: lossSum })),
      microBatches,
      (left, right) => left + right,
    );
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function each(records: Records, look: (record: LedgerRecord) => readonly string[]): LedgerProblem[] {
  return records.flatMap((record, index) => look(record).map((message) => ({ line: index + 1, message })));
}
