import { setImmediate as turnEnd } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { pacedWriter } from './paced-writer.js';

/** A socket that takes a message when it is told to. */
function slowStream() {
  const waiting: (() => void)[] = [];
  const write = (_: Uint8Array, taken?: unknown): boolean => {
    if (typeof taken === 'function') waiting.push(() => taken());
    return false;
  };
  return { stream: { write: write as never }, waiting };
}

test('three messages are with the transport at a time, and each that the socket took is told', async () => {
  const { stream, waiting } = slowStream();
  let told = 0;
  const writer = pacedWriter(stream, new AbortController().signal, () => told++);
  let written = 0;
  const all = (async () => {
    for (let message = 0; message < 4; message++) {
      await writer.write(new Uint8Array(1));
      written++;
    }
    await writer.flushed();
  })();
  await turnEnd();
  expect({ written, told, waiting: waiting.length }).toEqual({ written: 2, told: 0, waiting: 3 });
  waiting.shift()?.();
  await turnEnd();
  expect({ written, told, waiting: waiting.length }).toEqual({ written: 3, told: 1, waiting: 3 });
  for (const take of waiting) take();
  await turnEnd();
  for (const take of waiting.slice(3)) take();
  await all;
  expect({ written, told }).toEqual({ written: 4, told: 4 });
});

test('what the transport gives back after the end of a call is no sign of life', async () => {
  const { stream, waiting } = slowStream();
  const over = new AbortController();
  let told = 0;
  const writer = pacedWriter(stream, over.signal, () => told++);
  await writer.write(new Uint8Array(1));
  over.abort(new Error('it is over'));
  waiting[0]?.();
  await expect(writer.flushed()).rejects.toThrow('it is over');
  expect(told).toBe(0);
});
