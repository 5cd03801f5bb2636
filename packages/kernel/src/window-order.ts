import { narrowIndex, type SampleOrder, sampleOrder, samplePermutation } from './sample-permutation.js';

/**
 * The order of an epoch whose samples are more than anybody holds at once.
 *
 * Stored samples are cut into blocks of equal size (the last may be short). An epoch draws the order of the blocks, takes
 * `blocks` of them after the other for a window, and draws the order of the samples within each window. So a sample can come
 * at any time of an epoch, and what is needed at a time is a window's blocks. All of it follows from (seed, epoch, samples,
 * cut), as the order of the whole does: `samplePermutation` gives the blocks, and each window has words of its own.
 */
export interface WindowCut {
  /** Samples of a block, at least 1. */
  readonly blockRows: number;
  /** Blocks of a window, at least 2. */
  readonly blocks: number;
}

export interface SampleWindow {
  /** Positions `[begin, end)` of the epoch. */
  readonly begin: number;
  readonly end: number;
  /** Its blocks in the order their rows lie one after the other; a short one is last. Block b has samples from b × blockRows. */
  readonly blocks: readonly number[];
  /** From a position, less `begin`, to a row of those; undefined: row after row. At most 32 bits. */
  readonly order: SampleOrder | undefined;
}

export interface EpochWindows {
  readonly count: number;
  /** Which window a position in [0, samples) lies in. */
  windowOf(position: number): number;
  window(index: number): SampleWindow;
  sampleAt(position: number): number;
}

/** Samples of the largest window. */
export const windowRows = ({ blockRows, blocks }: WindowCut): number => blockRows * blocks;

/** Windows of every epoch. */
export function countWindows(samples: number, cut: WindowCut): number {
  return Math.ceil(Math.ceil(samples / cut.blockRows) / cut.blocks);
}

/**
 * @param shuffle false: blocks and samples come as they are stored
 * @throws RangeError for a cut that is none, and as `samplePermutation`
 */
export function epochWindows(
  seed: number,
  epoch: number,
  samples: number,
  cut: WindowCut,
  shuffle: boolean,
): EpochWindows {
  checkCut(cut);
  const { blockRows, blocks } = cut;
  const fullRows = windowRows(cut);
  const numBlocks = Math.ceil(samples / blockRows);
  const count = countWindows(samples, cut);
  const blockAt = shuffle ? samplePermutation(seed, epoch, numBlocks) : (place: number): number => place;
  /** Rows that the last block is short of a full one, and the window it lies in: those behind begin so much earlier. */
  const shortBy = numBlocks * blockRows - samples;
  const shortWindow = Math.floor(placeOf(numBlocks - 1) / blocks);
  let current: { readonly index: number; readonly window: SampleWindow } | undefined;

  function placeOf(block: number): number {
    for (let place = 0; place < numBlocks; place++) if (blockAt(place) === block) return place;
    throw new Error('a permutation without one of its values');
  }

  const beginOf = (index: number): number => Math.min(samples, index * fullRows - (index > shortWindow ? shortBy : 0));

  function window(index: number): SampleWindow {
    if (current?.index === index) return current.window;
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new RangeError(`window must be a whole number in [0, ${count}), received ${index}`);
    }
    const begin = beginOf(index);
    const end = beginOf(index + 1);
    const places = Math.min(blocks, numBlocks - index * blocks);
    const drawn = Array.from({ length: places }, (_, place) => blockAt(index * blocks + place));
    const last = numBlocks - 1;
    const made: SampleWindow = {
      begin,
      end,
      blocks: drawn.includes(last) ? [...drawn.filter((block) => block !== last), last] : drawn,
      order: shuffle ? sampleOrder(seed, epoch, end - begin, index + 1) : undefined,
    };
    current = { index, window: made };
    return made;
  }

  function windowOf(position: number): number {
    if (!(Number.isInteger(position) && position >= 0 && position < samples)) {
      throw new RangeError(`position must be a whole number in [0, ${samples}), received ${position}`);
    }
    const behind = position >= beginOf(shortWindow + 1);
    return Math.min(Math.floor((position + (behind ? shortBy : 0)) / fullRows), behind ? count - 1 : shortWindow);
  }

  return {
    count,
    windowOf,
    window,
    sampleAt(position) {
      const { begin, end, blocks: stored, order } = window(windowOf(position));
      const row = order === undefined ? position - begin : narrowIndex(order, end - begin, position - begin);
      return stored[Math.floor(row / blockRows)]! * blockRows + (row % blockRows);
    },
  };
}

function checkCut({ blockRows, blocks }: WindowCut): void {
  if (Number.isSafeInteger(blockRows) && blockRows >= 1 && Number.isSafeInteger(blocks) && blocks >= 2) {
    if (blockRows * blocks <= 2 ** 31) return;
  }
  throw new RangeError(`${blocks} blocks of ${blockRows} samples are no window`);
}

/** From position to sample index in one epoch, however the order of the samples is drawn. */
export function sampleAtOf(
  seed: number,
  epoch: number,
  samples: number,
  { shuffle, windows }: { readonly shuffle: boolean; readonly windows?: WindowCut | undefined },
): (position: number) => number {
  if (!shuffle) return (position) => position;
  if (windows === undefined) return samplePermutation(seed, epoch, samples);
  return epochWindows(seed, epoch, samples, windows, true).sampleAt;
}
