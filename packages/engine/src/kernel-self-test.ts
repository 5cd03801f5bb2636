import type { ModelSpec } from '#kernel';
import type { KernelName, WorkerEngine } from './engine.js';
import { patternedFloats } from './patterned-floats.js';
import { openWorkerEngine } from './worker-engine.js';

export interface KernelSelfTest {
  /** For example `wasm-simd128/1`. */
  readonly id: string;
  /**
   * The gradient has the bits every machine must get, or, where bits are the library's (`blas`), comes near enough to
   * them and is the same twice. If not, this machine's runs cannot be compared with others'.
   */
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

/** XXH64 of the gradient below: the same on every processor and Node. Changes with a kernel's number only. */
const GOLDEN_HASHES: Readonly<Partial<Record<KernelName, string>>> = {
  js: '2bede5bbba37ad2c',
  wasm: '2bede5bbba37ad2c',
  'wasm-fma': 'bb7106eca47d1d54',
};

/**
 * Largest difference from the gradient of `wasm`, as a part of its largest element, for a kernel without a hash. Sums of
 * up to 256 terms in another order stay below 256 · 2⁻²⁴; a wrong operand is off by the element itself.
 */
const TOLERANCE = 2e-5;

/** A slow kernel gets one timed run, a fast one as many as fit: the best of them is what the machine can do. */
const TIMING_MS = 100;

/**
 * A short check (under 300 ms) that a kernel runs on this machine, gives the agreed bits, and how fast it is.
 * @throws KernelUnavailableError when this machine lacks what the kernel needs
 */
export async function kernelSelfTest(kernel: KernelName, blasLibrary?: string): Promise<KernelSelfTest> {
  await using engine = await openPrepared(kernel, blasLibrary);
  const first = await engine.computeGradient(REQUEST);
  const { gradientHash } = first;
  const golden = GOLDEN_HASHES[kernel];
  let ok = golden === undefined ? await comesNear(first.gradient) : gradientHash === golden;
  let best = first.computeMs;
  for (let spent = first.computeMs; spent < TIMING_MS; ) {
    const again = await engine.computeGradient(REQUEST);
    ok &&= again.gradientHash === gradientHash;
    best = Math.min(best, again.computeMs);
    spent += again.computeMs;
  }
  return { id: engine.kernelId, ok, gflops: OPERATIONS / (best * 1e6) };
}

/** Is it the gradient that `wasm` computes, but for the order and the rounding of sums? */
async function comesNear(received: Uint8Array): Promise<boolean> {
  await using engine = await openPrepared('wasm');
  const [gradient, expected] = [received, (await engine.computeGradient(REQUEST)).gradient].map(asFloats) as [
    Floats,
    Floats,
  ];
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return expected.every((value, p) => Math.abs(value - gradient[p]!) <= TOLERANCE * largest);
}

type Floats = Float32Array;

const asFloats = ({ buffer, byteOffset, byteLength }: Uint8Array): Floats =>
  new Float32Array(buffer, byteOffset, byteLength / 4);

const REQUEST = { step: 0, epoch: 0, firstPosition: 0, endPosition: SAMPLES, begin: 0, end: 1 } as const;

async function openPrepared(kernel: KernelName, blasLibrary?: string): Promise<WorkerEngine> {
  const named = blasLibrary === undefined ? {} : { blasLibrary };
  const work = { model: MODEL, seed: 1, trainSamples: SAMPLES, batch: SAMPLES, microBatches: 1 };
  const engine = await openWorkerEngine({ kernel, ...named, threads: 1, ...work });
  const targets = new Float32Array(new SharedArrayBuffer(4 * SAMPLES));
  for (let sample = 0; sample < SAMPLES; sample++) targets[sample] = sample % CLASSES;
  engine.stagedWeights.set(patternedFloats(engine.parameterCount, 1, 1 / 16));
  engine.adoptStagedWeights();
  engine.addShard({
    split: 'train',
    begin: 0,
    end: SAMPLES,
    features: patternedFloats(SAMPLES * INPUTS, 2, 1),
    targets,
  });
  return engine;
}
