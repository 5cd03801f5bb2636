/** Collects a regression's errors sample by sample, one column of targets after the other. */

export interface NumberFindings {
  /** Means over all targets of all samples. */
  readonly meanAbsoluteError: number;
  readonly rootMeanSquaredError: number;
  /** The same, target by target. */
  readonly targets: readonly TargetFindings[];
}

export interface TargetFindings {
  readonly name: string;
  readonly meanAbsoluteError: number;
  readonly rootMeanSquaredError: number;
  /** 1 - Σ error² / Σ (target - mean target)²; absent where all targets are equal. */
  readonly r2?: number;
}

export interface NumberMeter {
  /**
   * @param values [T] as the model gives them
   * @param targets [T] from `offset`, as the model was trained on them
   */
  add(values: Float32Array, targets: Float32Array, offset: number): void;
  result(): NumberFindings;
}

/** @param units what 1 of each target is in the data; absent: 1 */
export function createNumberMeter(names: readonly string[], units?: readonly number[]): NumberMeter {
  // Spread by Welford's recurrence: sums of squares would lose the digits of targets far from 0.
  const columns = names.map((name) => ({ name, absolute: 0, squared: 0, mean: 0, spread: 0 }));
  let samples = 0;
  const errors = (count: number, absolute: number, squared: number) => ({
    meanAbsoluteError: absolute / count,
    rootMeanSquaredError: Math.sqrt(squared / count),
  });
  return {
    add(values, targets, offset) {
      samples++;
      for (const [index, column] of columns.entries()) {
        const unit = units?.[index] ?? 1;
        const target = targets[offset + index]! * unit;
        const error = (values[index]! - targets[offset + index]!) * unit;
        column.absolute += Math.abs(error);
        column.squared += error * error;
        const before = target - column.mean;
        column.mean += before / samples;
        column.spread += before * (target - column.mean);
      }
    },
    result() {
      const total = (of: (column: (typeof columns)[number]) => number): number =>
        columns.reduce((sum, column) => sum + of(column), 0);
      const cells = samples * columns.length;
      return {
        ...errors(
          cells,
          total(({ absolute }) => absolute),
          total(({ squared }) => squared),
        ),
        targets: columns.map(({ name, absolute, squared, spread }) => ({
          name,
          ...errors(samples, absolute, squared),
          ...(spread > 0 ? { r2: 1 - squared / spread } : {}),
        })),
      };
    },
  };
}
