import { compileModel, type Kernel, sampleOrder, samplePermutation } from '#kernel';
import type { SplitName } from './engine.js';
import { floatsAt } from './linear-memory.js';
import type { RowStore } from './row-store.js';
import type { ThreadSetup } from './thread-setup.js';
import { windowStaging } from './window-staging.js';

/** Where the rows of a micro-batch lie: byte addresses in the kernel's memory. */
export interface RowAddresses {
  readonly features: number;
  readonly targets: number;
}

/** Brings rows to where the kernel reads them; each thread has its own. */
export interface RowStaging {
  /**
   * Where the training rows at positions `[begin, end)` lie one after the other already: in memory, in a run whose positions
   * are indexes.
   */
  inPlace(epoch: number, begin: number, end: number): RowAddresses | undefined;
  /**
   * Copies the training rows at positions `[begin, end)` of an epoch, at most `samplesAtOnce`, to the place of row `row`
   * of `into` and those after it.
   * @throws MissingRowError
   */
  copyTraining(epoch: number, begin: number, end: number, into: RowAddresses, row?: number): void;
  /** Copies rows `[begin, end)` of a split as it is stored. @throws MissingRowError */
  copyStored(split: SplitName, begin: number, end: number, into: RowAddresses): void;
  /** A shard was added to the store. */
  storeChanged(): void;
}

/** How the epoch in hand finds its samples: drawn by the kernel, or one at a time. */
interface EpochOrder {
  readonly epoch: number;
  readonly bits: number;
  readonly indexOf: (position: number) => number;
}

/**
 * When all training rows are in the kernel's memory, indexes are drawn and rows gathered there, with no work of
 * JavaScript for a sample. Else, while some are missing or because there is no room for them, each is looked up in the
 * store.
 */
export function createRowStaging(
  setup: ThreadSetup & { role: 'worker' },
  kernel: Pick<Kernel, 'gatherRows' | 'sampleIndexes'>,
  rows: RowStore,
): RowStaging {
  const { windows } = setup.options;
  const whole = wholeStaging(setup, kernel, rows);
  return windows === undefined ? whole : { ...whole, ...windowStaging(setup, windows, kernel) };
}

function wholeStaging(
  { index, memory, options, plan }: ThreadSetup & { role: 'worker' },
  kernel: Pick<Kernel, 'gatherRows' | 'sampleIndexes'>,
  rows: RowStore,
): RowStaging {
  const { model, seed, shuffle = true, trainSamples } = options;
  const { inputs } = model;
  const { targetCount } = compileModel(model);
  const { indexes, orderKeys } = plan.threads[index]!; // one entry a thread was planned
  const keys = new Uint32Array(memory.buffer, orderKeys);
  const floats = floatsAt(memory, 0, memory.buffer.byteLength / 4);
  let inMemory: RowAddresses | undefined;
  let current: EpochOrder | undefined;

  function orderOf(epoch: number): EpochOrder {
    if (current?.epoch === epoch) return current;
    const order = sampleOrder(seed, epoch, trainSamples);
    keys.set(order.keys);
    const indexOf = shuffle ? samplePermutation(seed, epoch, trainSamples) : storedOrder;
    current = { epoch, bits: order.bits, indexOf };
    return current;
  }

  function copyEach(
    split: SplitName,
    begin: number,
    end: number,
    { features, targets }: RowAddresses,
    indexOf: (position: number) => number,
  ): void {
    for (let position = begin; position < end; position++) {
      const row = position - begin;
      const featuresAt = features / 4 + row * inputs;
      rows.copyRow(split, indexOf(position), floats, featuresAt, floats, targets / 4 + row * targetCount);
    }
  }

  const behind = ({ features, targets }: RowAddresses, row: number): RowAddresses => ({
    features: features + 4 * inputs * row,
    targets: targets + 4 * targetCount * row,
  });

  return {
    inPlace: (_, begin) => (shuffle || inMemory === undefined ? undefined : behind(inMemory, begin)),
    copyTraining(epoch, begin, end, into, row = 0) {
      if (begin === end) return;
      const { bits, indexOf } = orderOf(epoch);
      const { features, targets } = behind(into, row);
      if (inMemory === undefined || !shuffle) {
        copyEach('train', begin, end, { features, targets }, indexOf);
        return;
      }
      const count = end - begin;
      kernel.sampleIndexes(orderKeys, bits, trainSamples, begin, count, indexes);
      kernel.gatherRows(inMemory.features, inputs, indexes, count, features);
      kernel.gatherRows(inMemory.targets, targetCount, indexes, count, targets);
    },
    copyStored: (split, begin, end, into) => copyEach(split, begin, end, into, storedOrder),
    storeChanged() {
      inMemory = rows.count('train') === trainSamples ? plan.trainingRows : undefined;
    },
  };
}

const storedOrder = (position: number): number => position;
