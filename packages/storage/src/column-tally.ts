/** What is learned of one column from its cells, in the order of the rows and in bounded memory. */

export interface ColumnFacts {
  /** Of numbers; undefined where there was none. */
  readonly range: { readonly least: number; readonly most: number; readonly mean: number } | undefined;
  /** Rows by category, bucket or class; empty for numbers. */
  readonly groups: Uint32Array;
  readonly isConstant: boolean;
  /** Whole numbers that go up by one from row to row. */
  readonly countsRows: boolean;
  /**
   * Whoever knows this column knows the target: each of its words stands with one class alone, or its numbers are the
   * target's but for a factor and an offset.
   */
  readonly tellsTarget: boolean;
  /** Equal for columns with equal cells, and only by rare chance for others. */
  readonly digest: string;
}

export interface ColumnTally {
  /** @param cell NaN: missing. @param target the row's first target: a number, or the index of its class */
  add(cell: number, target: number): void;
  finish(): ColumnFacts;
}

const NO_CLASS = -1;
const SEVERAL_CLASSES = -2;
/** Of a correlation from 1: what rounding leaves of a column that is the target. */
const ALMOST = 1e-9;
/** Fewer rows than these agree by chance. */
const LEAST_ROWS = 10;

/** @param groupCount categories, buckets or classes; 0: numbers */
export function tallyColumn(groupCount: number, task: 'regression' | 'classification'): ColumnTally {
  const groups = new Uint32Array(groupCount);
  const classOf = new Int32Array(groupCount).fill(NO_CLASS);
  const bits = new Uint32Array(2);
  const value = new Float64Array(bits.buffer);
  let [hash, other] = [0x811c9dc5, 0x9e3779b9];
  let [rows, missing] = [0, 0];
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let previous = Number.NaN;
  let countsRows = true;
  // Means and sums of products of deviations, one row after the other (Welford's method).
  let [mean, targetMean, spread, targetSpread, together] = [0, 0, 0, 0, 0];

  const mix = (cell: number): void => {
    value[0] = cell;
    hash = Math.imul(hash ^ bits[0]!, 0x01000193) ^ Math.imul(bits[1]!, 0x85ebca6b);
    other = Math.imul(other ^ bits[1]!, 0xc2b2ae35) ^ Math.imul(bits[0]! ^ (other >>> 15), 0x27d4eb2f);
  };

  return {
    add(cell, target) {
      mix(cell);
      if (Number.isNaN(cell)) {
        missing++;
        return;
      }
      rows++;
      countsRows &&= Number.isInteger(cell) && (rows === 1 || cell === previous + 1);
      previous = cell;
      least = Math.min(least, cell);
      most = Math.max(most, cell);
      if (groupCount > 0) {
        groups[cell]!++;
        if (classOf[cell] === NO_CLASS) classOf[cell] = target;
        else if (classOf[cell] !== target) classOf[cell] = SEVERAL_CLASSES;
        return;
      }
      const off = cell - mean;
      const targetOff = target - targetMean;
      mean += off / rows;
      targetMean += targetOff / rows;
      spread += off * (cell - mean);
      targetSpread += targetOff * (target - targetMean);
      together += off * (target - targetMean);
    },
    finish() {
      const isConstant = missing === 0 && least === most;
      return {
        range: rows === 0 || groupCount > 0 ? undefined : { least, most, mean },
        groups,
        isConstant,
        countsRows: countsRows && groupCount === 0 && missing === 0 && rows >= LEAST_ROWS,
        tellsTarget: rows >= LEAST_ROWS && !isConstant && (task === 'regression' ? isTheTarget() : eachHasItsClass()),
        digest: `${(hash >>> 0).toString(16)}-${(other >>> 0).toString(16)}-${groupCount}`,
      };
    },
  };

  function isTheTarget(): boolean {
    return groupCount === 0 && targetSpread > 0 && Math.abs(together) ** 2 / (spread * targetSpread) > 1 - ALMOST;
  }

  /** Not by being different in every row: then each word stands with one class by itself. */
  function eachHasItsClass(): boolean {
    const used = groups.filter((count) => count > 0).length;
    return used > 1 && used <= rows / 5 && classOf.every((found) => found !== SEVERAL_CLASSES);
  }
}
