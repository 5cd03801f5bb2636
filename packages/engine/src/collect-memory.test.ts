import assert from 'node:assert/strict';
import { setImmediate as turnEnd } from 'node:timers/promises';
import { test } from 'vitest';
import { collectClosedMemory } from './collect-memory.js';
import { optionsOf, prepare } from './engine.fixture.js';
import { openWorkerEngine } from './worker-engine.js';

/** Opens, uses and closes an engine. @returns a reference to its memory that does not keep it */
async function closedEngineMemory(): Promise<WeakRef<object>> {
  await using engine = await openWorkerEngine(optionsOf('wasm', 2));
  prepare(engine);
  return new WeakRef(engine.stagedWeights.buffer);
}

test('the memory of an engine that was closed is gone once it was collected', async () => {
  const memory = await closedEngineMemory();
  await turnEnd(); // what a weak reference was asked for, or made with, stays until then
  assert.ok(memory.deref() !== undefined, 'it would have gone by itself: this test shows nothing');
  await turnEnd();
  collectClosedMemory();
  assert.equal(memory.deref(), undefined);
});
