/** The networks the kernel is measured with, from a small one to 46 M parameters. */
import { autoMicroBatches, compileModel, type ModelSpec } from '#kernel';

export interface Workload {
  readonly name: string;
  /** Inputs, then the units of each dense layer; a relu between two. */
  readonly widths: readonly [number, ...number[]];
  readonly batch: number;
}

export const WORKLOADS = {
  W3: { name: 'W3', widths: [784, 128, 10], batch: 256 },
  W4: { name: 'W4', widths: [784, 512, 256, 10], batch: 1024 },
  W5: { name: 'W5', widths: [1024, 2048, 2048, 1000], batch: 512 },
  W6: { name: 'W6', widths: [2048, 4096, 4096, 4096, 1000], batch: 256 },
} as const satisfies Record<string, Workload>;

/** Classifies: softmax and cross-entropy at the end. */
export function modelOf({ widths }: Workload): ModelSpec {
  const [inputs, ...units] = widths;
  const layers = units.flatMap((width) => [{ kind: 'dense', units: width } as const, { kind: 'relu' } as const]);
  return {
    inputs,
    outputs: units.at(-1) ?? inputs,
    layers: layers.slice(0, -1),
    loss: { kind: 'softmaxCrossEntropy' },
    init: 'auto',
  };
}

export function microBatchesOf(workload: Workload): number {
  return autoMicroBatches(workload.batch, compileModel(modelOf(workload)).parameterCount);
}

/** Sizes of the micro-batches a job that leaves the cut open gets, and of the whole batch. */
export function sampleCounts(workload: Workload): readonly number[] {
  return [...new Set([workload.batch / microBatchesOf(workload), workload.batch])];
}

/** [rows, depth] · [depth, columns]. */
export interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** Does the operand lie in memory as its transpose? */
  readonly leftTransposed: boolean;
  readonly rightTransposed: boolean;
}

export type Pass = 'forward' | 'dW' | 'dX';

/** The products of one pass over the layers: Y = X · Wᵀ, dW = dYᵀ · X, dX = dY · W. The features get no gradient. */
export function productsOf({ widths }: Workload, samples: number, pass: Pass): readonly Product[] {
  return widths.slice(1).flatMap((width, layer): readonly Product[] => {
    const inputs = widths[layer] ?? 0;
    switch (pass) {
      case 'forward':
        return [{ rows: samples, columns: width, depth: inputs, leftTransposed: false, rightTransposed: true }];
      case 'dW':
        return [{ rows: width, columns: inputs, depth: samples, leftTransposed: true, rightTransposed: false }];
      case 'dX':
        if (layer === 0) return [];
        return [{ rows: samples, columns: inputs, depth: width, leftTransposed: false, rightTransposed: false }];
      default:
        return pass satisfies never;
    }
  });
}

/** Two a multiply-add. */
export function operationsOf(products: readonly Product[]): number {
  return products.reduce((sum, { rows, columns, depth }) => sum + 2 * rows * columns * depth, 0);
}

/** Numbers in [-scale, scale) that look random enough to be multiplied. */
export function fill(values: Float32Array, scale: number): void {
  let state = 1;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    values[i] = (state / 2 ** 31) * scale;
  }
}
