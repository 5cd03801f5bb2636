import { expect, test } from 'vitest';
import type { Paint } from '../terminal.js';
import { finished } from './run-events.fixture.js';
import { renderSummary } from './summary.js';

const plain: Paint = (_style, text) => text;

test('the summary says how good, why it ended, how fast, what it is and what comes next', () => {
  expect(renderSummary(finished, 'ropeteam runs', plain).split('\n')).toEqual([
    '✓ digits-7f3a  test accuracy 97.22 %  loss 0.09120',
    '  stopped  after 180 steps, 30 epochs: the last epoch of the job is done',
    '  time     7.6 s · 18,240 samples/s · goodput 98.2 %',
    '  metrics  validation accuracy 97.00 %  loss 0.1000 · training accuracy 99.90 %  loss 0.01000',
    `  weights  sha256 ${'ab'.repeat(32)}`,
    `  ledger   sha256 ${'ef'.repeat(32)}`,
    '  ran on   redis 7.0.15 · kernel wasm-simd128/1',
    '  model    /runs/digits-7f3a/model',
    '  files    /runs/digits-7f3a: job.yaml, events.ndjson, ledger.ndjson, checkpoints/',
    '  next     ropeteam runs',
  ]);
});

test('a kernel that was left to the program is told with the reason', () => {
  const reason = 'wasm-fma/1 is the fastest this machine has; no blas: no OpenBLAS was found';
  const lines = renderSummary({ ...finished, kernel: 'wasm-fma/1', kernelReason: reason }, 'x', plain).split('\n');
  expect(lines[lines.findIndex((line) => line.includes('kernel wasm-fma/1')) + 1]?.trim()).toBe(`auto: ${reason}`);
});

test('faults are told when there were any', () => {
  const summary = renderSummary({ ...finished, workersLost: 1, blocksReissued: 3 }, 'x', plain);
  expect(summary).toContain('faults   1 worker lost, 3 blocks run again; the weights are the same as without');
});

test('without a test split the next best metrics speak', () => {
  const { test: _test, ...rest } = finished;
  expect(renderSummary(rest, 'x', plain)).toContain('validation accuracy 97.00 %');
  const { validation: _validation, ...less } = rest;
  expect(renderSummary(less, 'x', plain)).toContain('training accuracy 99.90 %');
  const { train: _train, ...least } = less;
  expect(renderSummary(least, 'x', plain)).toContain('ended before its first step');
});

test('a regression is judged by r2', () => {
  expect(renderSummary({ ...finished, test: { loss: 0.5, r2: 0.98765 } }, 'x', plain)).toContain(
    'test r2 0.9877  loss 0.5000',
  );
});
