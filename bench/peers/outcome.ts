/** What one run of one contestant came to. */
export interface Outcome {
  /** Median of the steps after the warm-up. */
  readonly stepMs: number;
  /** The whole loop: the steps after the warm-up, or all epochs. */
  readonly seconds: number;
  readonly steps: number;
  /** Mean loss of the last step's batch. */
  readonly loss?: number;
  /** Of the test set, in [0, 1]. */
  readonly accuracy?: number;
  /** Most that each process had resident. */
  readonly peakBytes: readonly number[];
  readonly versions: Readonly<Record<string, string>>;
}

export interface Contestant {
  /** `torch DDP 2x1`: processes x threads. */
  readonly name: string;
  readonly kind: 'ours' | 'one process' | 'several processes';
  run(workload: Workload): Promise<Outcome>;
}

export interface Workload {
  readonly name: string;
  readonly layers: readonly [number, ...number[]];
  readonly batch: number;
  readonly optimizer: 'sgd' | 'momentum' | 'adam';
  readonly learningRate: number;
  readonly limit:
    | { readonly kind: 'steps'; readonly warmup: number; readonly steps: number }
    | { readonly kind: 'epochs'; readonly epochs: number };
  /** Where its files are: x.npy, y.npy, start.safetensors, and test-x.npy, test-y.npy where it has a test set. */
  readonly folder: string;
}
