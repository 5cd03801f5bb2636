import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { Interrupted, listenForInterrupts, untilAborted } from './interrupts.js';

/** A process whose clock stands where it is put. */
function scene() {
  const source = new EventEmitter();
  const clock = { ms: 1000 };
  const interrupts = listenForInterrupts(source, () => clock.ms);
  return { source, clock, interrupts };
}

test('the first Ctrl-C asks for order, the second for haste', () => {
  const { source, clock, interrupts } = scene();
  source.emit('SIGINT', 'SIGINT');
  expect([interrupts.orderly.aborted, interrupts.immediate.aborted]).toEqual([true, false]);
  clock.ms += 1000;
  source.emit('SIGINT', 'SIGINT');
  expect(interrupts.immediate.aborted).toBe(true);
});

test('one press that arrives twice, from the terminal and from npm, is one', () => {
  const { source, clock, interrupts } = scene();
  source.emit('SIGINT', 'SIGINT');
  clock.ms += 50;
  source.emit('SIGINT', 'SIGINT');
  expect(interrupts.immediate.aborted).toBe(false);
});

test('the exit code is that of the first signal', () => {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    const { source, interrupts } = scene();
    source.emit(signal, signal);
    expect(interrupts.first()?.exitCode).toBe(code);
    expect(interrupts.orderly.reason).toBeInstanceOf(Interrupted);
  }
});

test('afterwards no listener is left', () => {
  const { source, interrupts } = scene();
  interrupts[Symbol.dispose]();
  expect(source.eventNames()).toEqual([]);
});

test('waiting ends with the signal, before and after it came', async () => {
  const controller = new AbortController();
  const waiting = untilAborted(new Promise(() => undefined), controller.signal);
  controller.abort(new Interrupted('SIGINT'));
  await expect(waiting).rejects.toThrow('interrupted by SIGINT');
  await expect(untilAborted(Promise.resolve(1), controller.signal)).rejects.toThrow('interrupted by SIGINT');
  await expect(untilAborted(Promise.resolve(1), new AbortController().signal)).resolves.toBe(1);
});
