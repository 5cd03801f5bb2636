/** What every kernel promises, whichever arithmetic it has: the right numbers, and one gradient however it is shared out. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, test } from 'vitest';
import { BLAS_LIBRARY, hasBlas } from './blas.fixture.js';
import {
  asFloats,
  assertSameBits,
  expectedGradient,
  MICRO_BATCHES,
  MODEL,
  optionsOf,
  prepare,
  WHOLE_STEP,
  WIDE_MODEL,
} from './engine.fixture.js';
import type { GradientRequest } from './engine.js';
import { type KernelName, openWorkerEngine, type WorkerEngine } from './index.js';

const open = async (kernel: KernelName, threads: number, model = MODEL): Promise<WorkerEngine> => {
  const library = BLAS_LIBRARY === undefined ? {} : { blasLibrary: BLAS_LIBRARY };
  return prepare(await openWorkerEngine({ ...optionsOf(kernel, threads, model), ...library }), model);
};

/** The gradient of a step, of one block or folded from several. */
async function gradientOf(engine: WorkerEngine, blocks: readonly Block[]): Promise<Float32Array> {
  let folded: Float32Array[] = [];
  for (const block of blocks) {
    const { gradient } = await engine.computeGradient({ ...WHOLE_STEP, ...block });
    folded.push(asFloats(gradient.slice()));
  }
  // Blocks of one size: the tree above them is left + right, level by level.
  while (folded.length > 1) {
    folded = folded.flatMap((left, i) => (i % 2 === 0 ? [left.map((value, p) => value + folded[i + 1]![p]!)] : []));
  }
  return folded[0]!;
}

type Block = Pick<GradientRequest, 'begin' | 'end'>;

const cutInto = (count: number): readonly Block[] =>
  Array.from({ length: count }, (_, i) => ({
    begin: (i * MICRO_BATCHES) / count,
    end: ((i + 1) * MICRO_BATCHES) / count,
  }));

describe.each<KernelName>(['js', 'wasm', 'wasm-fma', 'blas'])('kernel %s', (kernel) => {
  const lacking = kernel === 'blas' && !hasBlas;

  test.skipIf(lacking)('gives the gradient of its definition, to float32 precision', async () => {
    await using engine = await open(kernel, 1);
    const gradient = await gradientOf(engine, cutInto(1));
    const { gradient: expected } = expectedGradient(WHOLE_STEP);
    const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [p, value] of expected.entries()) {
      assert.ok(Math.abs(gradient[p]! - value) <= 1e-5 * largest, `parameter ${p}: ${gradient[p]}, not ${value}`);
    }
  });

  test.skipIf(lacking)('gives the same bits for 1, 2 and 3 threads and any cut of the step into blocks', async () => {
    const model = kernel === 'js' ? MODEL : WIDE_MODEL; // wide enough for OpenBLAS to work in several passes
    let expected: Float32Array | undefined;
    for (const threads of [1, 2, 3]) {
      await using engine = await open(kernel, threads, model);
      for (const blocks of [1, 2, 4, 8]) {
        const gradient = await gradientOf(engine, cutInto(blocks));
        expected ??= gradient;
        assertSameBits(gradient, expected);
      }
    }
  });
});

test.skipIf(!hasBlas)('many threads load OpenBLAS at once, compute, and are terminated, again and again', async () => {
  await using alone = await open('blas', 1);
  const expected = await gradientOf(alone, cutInto(1));
  for (let round = 0; round < 3; round++) {
    const engines = await Promise.all([open('blas', 6), open('blas', 6)]);
    const results = await Promise.all(engines.map((engine) => engine.computeGradient(WHOLE_STEP)));
    for (const { gradient } of results) assertSameBits(gradient, expected);
    // One is closed with a gradient under way: its threads end inside the library, or just behind it.
    const underWay = engines.map((engine) => engine.computeGradient(WHOLE_STEP).catch(() => undefined));
    await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]()));
    await Promise.all(underWay);
  }
});

test('a library that is not there is said by name, with what to do', async () => {
  await assert.rejects(openWorkerEngine({ ...optionsOf('blas', 1), blasLibrary: '/not/there/libopenblas.so' }), {
    code: 'ENGINE.KERNEL_UNAVAILABLE',
    kernel: 'blas',
    message: /no OpenBLAS was found; \/not\/there\/libopenblas\.so: /,
    fix: /apt-get install libopenblas0-pthread/,
  });
});

test('a file that is another library is refused for what it lacks', async () => {
  await assert.rejects(openWorkerEngine({ ...optionsOf('blas', 1), blasLibrary: 'libc.so.6' }), {
    code: 'ENGINE.KERNEL_UNAVAILABLE',
    message: /libc\.so\.6: .*openblas_get_parallel/,
  });
});

test.skipIf(!hasBlas)('more threads than the library was built for are refused, not tried', async () => {
  await assert.rejects(open('blas', 1024), { code: 'ENGINE.KERNEL_UNAVAILABLE', message: /at most \d+ threads/ });
});

test.skipIf(process.platform !== 'linux')(
  'neither koffi nor OpenBLAS is loaded before they are asked for',
  async () => {
    const engine = new URL('./index.js', import.meta.url).href;
    const program = `
    import { readFileSync } from 'node:fs';
    import { findKernel } from ${JSON.stringify(engine)};
    const isLoaded = () => /koffi|openblas/.test(readFileSync('/proc/self/maps', 'utf8'));
    for (const name of ['js', 'wasm', 'wasm-fma']) await findKernel(name);
    const before = isLoaded();
    await findKernel('blas', '/not/there/libopenblas.so');
    process.stdout.write(JSON.stringify([before, isLoaded()]));`;
    const output = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, ['--input-type=module', '--eval', program], (error, stdout) =>
        error === null ? resolve(stdout) : reject(error),
      );
    });
    assert.deepEqual(JSON.parse(output), [false, true]);
  },
);
