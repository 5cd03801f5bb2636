import { describe, expect, test } from 'vitest';
import { step } from '#training';
import { AveragingGate } from './averaging-gate.js';

const never = new AbortController().signal;
const always = (): boolean => true;
const ready = (number: number) => ({ step: step(number), receipts: [] });

describe('the averaging gate', () => {
  test('lets a job through that comes before its blocks, and one that comes after them', async () => {
    const gate = new AveragingGate();
    const early = gate.next(always, never);
    gate.open(ready(0));
    expect(await early).toEqual(ready(0));
    gate.open(ready(1));
    expect(await gate.next(always, never)).toEqual(ready(1));
  });

  test('gives each step out once, whoever asks', async () => {
    const gate = new AveragingGate();
    const ended = new AbortController();
    const both = [gate.next(always, ended.signal), gate.next(always, ended.signal)];
    gate.open(ready(3));
    expect(await Promise.race(both)).toEqual(ready(3));
    ended.abort();
    expect((await Promise.all(both)).filter((one) => one !== undefined)).toEqual([ready(3)]);
    gate.open(ready(4));
    expect(gate.take()).toEqual(ready(4));
    expect(gate.take()).toBeUndefined();
  });

  test('sends a job away that is not needed any more, at once or when told to look again', async () => {
    const gate = new AveragingGate();
    expect(await gate.next(() => false, never)).toBeUndefined();
    let needed = true;
    const waiting = gate.next(() => needed, never);
    needed = false;
    gate.recheck();
    expect(await waiting).toBeUndefined();
  });

  test('keeps the blocks for another when the signal ends a wait', async () => {
    const gate = new AveragingGate();
    const gone = new AbortController();
    const waiting = gate.next(always, gone.signal);
    gone.abort();
    expect(await waiting).toBeUndefined();
    gate.open(ready(2));
    expect(await gate.next(always, gone.signal)).toBeUndefined();
    expect(await gate.next(always, never)).toEqual(ready(2));
  });
});
