import assert from 'node:assert/strict';
import { test } from 'vitest';
import { BLAS_LIBRARY, hasBlas } from './blas.fixture.js';
import { kernelSelfTest } from './kernel-self-test.js';

test('the kernels of WebAssembly give their golden gradients, as the plain one does, and are faster', async () => {
  const plain = await kernelSelfTest('js');
  const fast = await kernelSelfTest('wasm');
  const fused = await kernelSelfTest('wasm-fma');
  assert.ok(plain.ok && fast.ok && fused.ok);
  assert.deepEqual([plain.id, fast.id, fused.id], ['js/1', 'wasm-simd128/1', 'wasm-fma/1']);
  assert.ok(plain.gflops > 0 && fast.gflops > 2 * plain.gflops, `${fast.gflops} against ${plain.gflops} GFLOP/s`);
  assert.ok(fused.gflops > 2 * plain.gflops, `${fused.gflops} against ${plain.gflops} GFLOP/s`);
});

test.skipIf(!hasBlas)('OpenBLAS comes near the golden gradient, and gives it twice', async () => {
  const { id, ok, gflops } = await kernelSelfTest('blas', BLAS_LIBRARY);
  assert.ok(ok);
  assert.match(id, /^blas-openblas-\d+\.\d+[\w.]*-[a-z0-9.-]+\/2$/);
  assert.ok(gflops > 0);
});
