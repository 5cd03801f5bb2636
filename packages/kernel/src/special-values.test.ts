/** Zeros of both signs, subnormal and huge numbers, infinities and NaN: both engines make the same of them, anywhere. */
import { expect, test } from 'vitest';
import { memoryPlan, noise } from './kernel.fixture.js';
import { memoryViews } from './linear-memory.js';
import { activate, activateBackward } from './plain/activations.js';
import { dropout } from './plain/dropout.js';
import { gelu, geluBackward } from './plain/gelu.js';
import { hinge, multiClassHinge } from './plain/hinge.js';
import { layerNorm, layerNormBackward } from './plain/layer-norm.js';
import { huber, softmaxCrossEntropy } from './plain/losses.js';
import { softmax, softmaxBackward } from './plain/softmax.js';
import { ACTIVATION_CODES, type Routines } from './routines.js';
import { createWasmKernel } from './wasm-kernel.js';
import { wasmBytes, wasmInstance, wasmMemory } from './wasm-module.fixture.js';

const memory = wasmMemory(16);
const instance = wasmInstance(wasmBytes, memory);
createWasmKernel(instance, memory); // checks that the routines are there
const fast = instance as unknown as Routines;
const views = memoryViews(memory)();

const [ROWS, WIDTH] = [16, 27];
const COUNT = ROWS * WIDTH;
const SPECIALS = [0, -0, 1e-45, -1e-45, 1e-38, 0.5, 1, -1, 13.2, 88, -88, 3e38, -3e38, Infinity, -Infinity, Number.NaN];

/** Rows of moderate numbers, each with other special ones among them; the last rows have none. */
const values = Float32Array.from(noise(3, COUNT), (value, i) => {
  const row = Math.floor(i / WIDTH);
  return row < 13 && i % 5 === row % 5 ? SPECIALS[(i + row) % SPECIALS.length]! : 6 * value;
});
const labels = Float32Array.from({ length: COUNT }, (_, i) => (i % 7 === 6 ? -1 : i % 3));

const take = memoryPlan(64);
const [from, into, back, targets, weight, bias, statistics, sums] = [
  take(4 * COUNT),
  take(4 * COUNT),
  take(4 * COUNT),
  take(4 * COUNT),
  take(4 * WIDTH),
  take(4 * WIDTH),
  take(8 * ROWS),
  take(40),
] as const;
const leaky = ACTIVATION_CODES.leakyRelu;

test.each<[string, () => void, () => void]>([
  ['gelu', () => gelu(views, from, into, COUNT), () => fast.gelu(from, into, COUNT)],
  ['gelu backward', () => geluBackward(views, back, from, COUNT), () => fast.geluBackward(back, from, COUNT)],
  [
    'leaky relu',
    () => activate(views, from, into, COUNT, leaky, 0.1),
    () => fast.activate(from, into, COUNT, leaky, 0.1),
  ],
  [
    'leaky relu backward',
    () => activateBackward(views, back, from, COUNT, leaky, 0.1),
    () => fast.activateBackward(back, from, COUNT, leaky, 0.1),
  ],
  ['softmax', () => softmax(views, from, into, ROWS, WIDTH), () => fast.softmax(from, into, ROWS, WIDTH)],
  [
    'softmax backward',
    () => softmaxBackward(views, back, from, ROWS, WIDTH),
    () => fast.softmaxBackward(back, from, ROWS, WIDTH),
  ],
  [
    'layer norm',
    () => layerNorm(views, from, into, ROWS, WIDTH, weight, bias, 1e-5, statistics),
    () => fast.layerNorm(from, into, ROWS, WIDTH, weight, bias, 1e-5, statistics),
  ],
  [
    'layer norm backward',
    () => layerNormBackward(views, back, from, ROWS, WIDTH, weight, targets, into, bias),
    () => fast.layerNormBackward(back, from, ROWS, WIDTH, weight, targets, into, bias),
  ],
  [
    'dropout',
    () => dropout(views, from, into, ROWS, WIDTH, 2 ** 32 - 7, 2 ** 31 + 1, 5, 2 ** 31 + 77, 1.5),
    () => fast.dropout(from, into, ROWS, WIDTH, 2 ** 32 - 7, 2 ** 31 + 1, 5, 2 ** 31 + 77, 1.5),
  ],
  [
    'huber',
    () => huber(views, from, targets, ROWS, WIDTH, 0.7, into, sums),
    () => fast.huber(from, targets, ROWS, WIDTH, 0.7, into, sums),
  ],
  ['hinge', () => hinge(views, from, targets, COUNT, into, sums), () => fast.hinge(from, targets, COUNT, into, sums)],
  [
    'hinge of several classes',
    () => multiClassHinge(views, from, targets, ROWS, WIDTH, into, sums),
    () => fast.multiClassHinge(from, targets, ROWS, WIDTH, into, sums),
  ],
  [
    'smoothed cross-entropy',
    () => softmaxCrossEntropy(views, from, targets, ROWS, WIDTH, 0.1, into, sums),
    () => fast.softmaxCrossEntropy(from, targets, ROWS, WIDTH, 0.1, into, sums),
  ],
])('%s gives the same bits in both engines, and NaN for the same numbers', (_what, runPlain, runFast) => {
  const [plain, vectors] = [runPlain, runFast].map((run) => {
    views.floats.set(values, from / 4);
    views.floats.set(noise(4, COUNT), back / 4);
    views.floats.set(labels, targets / 4);
    views.floats.set(noise(6, WIDTH), weight / 4);
    views.floats.set(noise(7, WIDTH), bias / 4);
    views.floats.fill(0, statistics / 4, sums / 4 + 10);
    views.floats.fill(0, into / 4, into / 4 + COUNT);
    run();
    // As numbers: a NaN is a NaN, and its payload is up to the processor.
    return {
      floats: [...views.floats.subarray(from / 4, sums / 4)],
      sums: [...views.doubles.subarray(sums / 8, sums / 8 + 5)],
    };
  });
  expect(vectors).toEqual(plain);
});
