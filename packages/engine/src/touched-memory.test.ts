import assert from 'node:assert/strict';
import { test } from 'vitest';
import { compileModel, type ModelSpec } from '#kernel';
import { initialWeights, optionsOf, prepare, TRAIN_SAMPLES, WHOLE_STEP, WIDE_MODEL } from './engine.fixture.js';
import type { WorkerEngine, WorkerEngineOptions } from './engine.js';
import { workerMemoryBytes } from './memory-plan.js';
import { workerTouchedBytes } from './touched-memory.js';
import { openWorkerEngine } from './worker-engine.js';

const PAGE_BYTES = 4096;

/** Bytes of the engine's pages that hold anything but zeros: those that were written to. */
function writtenBytes(engine: WorkerEngine): number {
  const words = new BigUint64Array(engine.stagedWeights.buffer);
  const wordsOfPage = PAGE_BYTES / words.BYTES_PER_ELEMENT;
  let written = 0;
  for (let begin = 0; begin < words.length; begin += wordsOfPage) {
    if (words.subarray(begin, begin + wordsOfPage).some((word) => word !== 0n)) written += PAGE_BYTES;
  }
  return written;
}

/** What a worker writes to, besides its training rows, that computes one block of so many micro-batches, and has seen two versions of the weights. */
async function writtenFor(options: WorkerEngineOptions, blockSize: number): Promise<number> {
  await using engine = await openWorkerEngine(options);
  prepare(engine, options.model);
  engine.stagedWeights.set(initialWeights(options.model));
  await engine.computeGradient({ ...WHOLE_STEP, begin: 0, end: blockSize });
  const { inputs } = options.model;
  return writtenBytes(engine) - 4 * TRAIN_SAMPLES * (inputs + 1);
}

const MODEL: ModelSpec = WIDE_MODEL;

/** One buffer too many or too few is seen; scratch memory for packed panels is not always used to its end. */
const HALF_A_GRADIENT = 2 * compileModel(MODEL).parameterCount;

test.each([
  { threads: 1, sharing: 'micro-batches', blockSize: 8 },
  { threads: 1, sharing: 'micro-batches', blockSize: 2 },
  { threads: 1, sharing: 'micro-batches', blockSize: 1 },
  { threads: 3, sharing: 'tiles', blockSize: 8 },
  { threads: 3, sharing: 'tiles', blockSize: 1 },
] as const)(
  '$threads threads that share $sharing write to what is said for blocks of $blockSize, to less than half a gradient',
  async ({ threads, sharing, blockSize }) => {
    const options = { ...optionsOf('wasm', threads, MODEL), sharing };
    const said = workerTouchedBytes(options, { blockSize, evaluationSamples: 0 });
    const written = await writtenFor(options, blockSize);
    assert.ok(Math.abs(said - written) < HALF_A_GRADIENT, `${written} bytes were written, ${said} were said`);
  },
);

test('threads with micro-batches of their own write to no more than is said, whoever takes which', async () => {
  for (const blockSize of [1, 2, 8]) {
    const options = { ...optionsOf('wasm', 2, MODEL), sharing: 'micro-batches' as const };
    const said = workerTouchedBytes(options, { blockSize, evaluationSamples: 0 });
    assert.ok((await writtenFor(options, blockSize)) <= said + 2 * PAGE_BYTES);
  }
});

test('nobody touches more than is planned, and smaller blocks touch less', () => {
  for (const threads of [1, 2, 8]) {
    const options = optionsOf('wasm', threads, MODEL);
    const touched = [8, 4, 2, 1].map((blockSize) =>
      workerTouchedBytes(options, { blockSize, evaluationSamples: 1000 }),
    );
    assert.deepEqual(
      touched,
      touched.toSorted((a, b) => b - a),
    );
    assert.ok(touched[0]! <= workerMemoryBytes(options), `${touched[0]} of ${workerMemoryBytes(options)}`);
    assert.ok(touched[3]! < touched[0]!);
  }
});
