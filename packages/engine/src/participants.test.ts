import assert from 'node:assert/strict';
import { test } from 'vitest';
import { sharesTiles } from './participants.js';

test('few large micro-batches are computed together, many or small ones are not', () => {
  const large = 500_000;
  assert.equal(sharesTiles(undefined, 2, 1, 128, large), true);
  assert.equal(sharesTiles(undefined, 2, 8, 128, large), false, 'eight are shared out evenly');
  assert.equal(sharesTiles(undefined, 4, 8, 128, large), true, 'but not among four threads');
  assert.equal(sharesTiles(undefined, 2, 1, 32, 1000), false, 'too small to meet for each routine');
  assert.equal(sharesTiles(undefined, 1, 1, 128, large), false, 'nobody to share with');
});

test('a way of sharing that was asked for is taken', () => {
  assert.equal(sharesTiles('tiles', 1, 64, 1, 1), true);
  assert.equal(sharesTiles('micro-batches', 8, 1, 1000, 1e7), false);
});
