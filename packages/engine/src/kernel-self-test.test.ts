import assert from 'node:assert/strict';
import { test } from 'vitest';
import { kernelSelfTest } from './kernel-self-test.js';

test('both kernels give the golden gradient, and the fast one is faster', async () => {
  const plain = await kernelSelfTest('js');
  const fast = await kernelSelfTest('wasm');
  assert.ok(plain.ok && fast.ok);
  assert.match(plain.id, /^js\//);
  assert.match(fast.id, /^wasm-simd128\//);
  assert.ok(plain.gflops > 0 && fast.gflops > 2 * plain.gflops, `${fast.gflops} against ${plain.gflops} GFLOP/s`);
});
