import type { ShardRows, SplitName } from './engine.js';
import { MissingRowError } from './engine-errors.js';

/** Writes one row: its F features at `features[featuresAt]`, its T targets at `targets[targetsAt]`. */
export type CopyRow = (
  split: SplitName,
  index: number,
  features: Float32Array,
  featuresAt: number,
  targets: Float32Array,
  targetsAt: number,
) => void;

export type ShardPlace = Pick<ShardRows, 'split' | 'begin' | 'end'>;

/** What a worker's threads are told of shards. */
export type ShardMail =
  | { readonly kind: 'add'; readonly shard: ShardRows }
  | { readonly kind: 'drop'; readonly shard: ShardPlace };

/** The shards a thread can see, found by the index of a sample. The rows themselves are shared, never copied here. */
export interface RowStore {
  /** Adding a shard again replaces it. @throws RangeError when it overlaps a different shard, or its arrays do not fit */
  add(shard: ShardRows): void;
  /** Forgets a shard, if it is there. */
  drop(shard: ShardPlace): void;
  /** Rows of a split that are there. */
  count(split: SplitName): number;
  /** @throws MissingRowError */
  readonly copyRow: CopyRow;
}

/**
 * @param inputs F
 * @param targetCount T
 */
export function createRowStore(inputs: number, targetCount: number): RowStore {
  /** By split: shards in order of their rows, and where each begins, for the search. */
  const splits: Record<SplitName, { readonly shards: ShardRows[]; readonly begins: number[] }> = {
    train: { shards: [], begins: [] },
    validation: { shards: [], begins: [] },
    test: { shards: [], begins: [] },
  };

  return {
    add(shard) {
      checkShard(shard, inputs, targetCount);
      const { shards, begins } = splits[shard.split];
      const before = lastAtOrBefore(begins, shard.begin);
      const same = shards[before];
      if (same?.begin === shard.begin && same.end === shard.end) {
        shards[before] = shard;
        return;
      }
      const next = shards[before + 1];
      if ((same !== undefined && same.end > shard.begin) || (next !== undefined && next.begin < shard.end)) {
        throw new RangeError(`shard ${describe(shard)} overlaps a shard that was added before`);
      }
      shards.splice(before + 1, 0, shard);
      begins.splice(before + 1, 0, shard.begin);
    },
    drop({ split, begin, end }) {
      const { shards, begins } = splits[split];
      const at = shards.findIndex((shard) => shard.begin === begin && shard.end === end);
      if (at < 0) return;
      shards.splice(at, 1);
      begins.splice(at, 1);
    },
    count: (split) => splits[split].shards.reduce((sum, { begin, end }) => sum + end - begin, 0),
    copyRow(split, index, features, featuresAt, targets, targetsAt) {
      const { shards, begins } = splits[split];
      const shard = shards[lastAtOrBefore(begins, index)];
      if (shard === undefined || index >= shard.end) throw new MissingRowError(split, index);
      const row = index - shard.begin;
      copy(shard.features, row * inputs, inputs, features, featuresAt);
      copy(shard.targets, row * targetCount, targetCount, targets, targetsAt);
    },
  };
}

/** Position of the last of `sorted` that is ≤ `value`; -1 when none is. */
function lastAtOrBefore(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** Below this many floats a loop is faster than making a view for `set`. */
const SHORT_ROW = 48;

function copy(from: Float32Array, fromAt: number, length: number, into: Float32Array, intoAt: number): void {
  if (length > SHORT_ROW) into.set(from.subarray(fromAt, fromAt + length), intoAt);
  else for (let i = 0; i < length; i++) into[intoAt + i] = from[fromAt + i]!;
}

function checkShard(shard: ShardRows, inputs: number, targetCount: number): void {
  const { begin, end, features, targets } = shard;
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && 0 <= begin && begin < end)) {
    throw new RangeError(`shard ${describe(shard)} is not a range of samples`);
  }
  const rows = end - begin;
  if (features.length === rows * inputs && targets.length === rows * targetCount) return;
  throw new RangeError(
    `shard ${describe(shard)} has ${features.length} features and ${targets.length} targets; ` +
      `${rows} rows of ${inputs} and ${targetCount} are needed`,
  );
}

const describe = ({ split, begin, end }: ShardRows): string => `[${begin}, ${end}) of split "${split}"`;
