import type { ModelSpec } from '#kernel';
import type { KernelName } from './engine.js';
import { patternedFloats } from './patterned-floats.js';
import { openWorkerEngine } from './worker-engine.js';

export interface KernelSelfTest {
  /** For example `wasm-simd128/1`. */
  readonly id: string;
  /** The gradient has the bits every machine must get. If not, this machine's runs cannot be compared with others'. */
  readonly ok: boolean;
  /** 10⁹ floating-point operations a second of one thread, in a gradient made of little but matrix products. */
  readonly gflops: number;
}

const SAMPLES = 128;
const INPUTS = 256;
const HIDDEN = 192;
const CLASSES = 10;

const MODEL: ModelSpec = {
  inputs: INPUTS,
  outputs: CLASSES,
  layers: [{ kind: 'dense', units: HIDDEN }, { kind: 'tanh' }, { kind: 'dense', units: CLASSES }],
  loss: { kind: 'softmaxCrossEntropy' },
  init: 'zeros',
};

/** Two operations a multiply-add: Y = X·Wᵀ and dW = dYᵀ·X of both layers, dX = dY·W of the second. */
const OPERATIONS = 2 * SAMPLES * (2 * INPUTS * HIDDEN + 3 * HIDDEN * CLASSES);

/** XXH64 of the gradient below: the same for every kernel, processor and Node. Changes with a kernel's number only. */
const GOLDEN_HASH = '2bede5bbba37ad2c';

/** A slow kernel gets one timed run, a fast one as many as fit: the best of them is what the machine can do. */
const TIMING_MS = 100;

/**
 * A short check (under 300 ms) that a kernel runs on this machine, gives the agreed bits, and how fast it is.
 * @throws Error when the kernel cannot be loaded, saying what to do
 */
export async function kernelSelfTest(kernel: KernelName): Promise<KernelSelfTest> {
  const options = { kernel, threads: 1, model: MODEL, seed: 1, trainSamples: SAMPLES, batch: SAMPLES, microBatches: 1 };
  const targets = new Float32Array(new SharedArrayBuffer(4 * SAMPLES));
  for (let sample = 0; sample < SAMPLES; sample++) targets[sample] = sample % CLASSES;
  await using engine = await openWorkerEngine(options);
  engine.stagedWeights.set(patternedFloats(engine.parameterCount, 1, 1 / 16));
  engine.adoptStagedWeights();
  engine.addShard({
    split: 'train',
    begin: 0,
    end: SAMPLES,
    features: patternedFloats(SAMPLES * INPUTS, 2, 1),
    targets,
  });
  const request = { epoch: 0, firstPosition: 0, endPosition: SAMPLES, begin: 0, end: 1 };
  const first = await engine.computeGradient(request);
  const ok = first.gradientHash === GOLDEN_HASH;
  let best = first.computeMs;
  for (let spent = first.computeMs; spent < TIMING_MS; ) {
    const { computeMs } = await engine.computeGradient(request);
    best = Math.min(best, computeMs);
    spent += computeMs;
  }
  return { id: engine.kernelId, ok, gflops: OPERATIONS / (best * 1e6) };
}
