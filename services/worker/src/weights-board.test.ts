import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fence, runId, step, type WeightsFrame } from '#training';
import { WeightsBoard } from './weights-board.js';

const P = 4;
const never = new AbortController().signal;

/** Two buffers like the engine's, and every version that was ever adopted, as it was at that moment. */
function openBoard() {
  const buffers = [0, 1].map(() => new Float32Array(new SharedArrayBuffer(4 * P)));
  const adopted: number[][] = [];
  let current = 0;
  const staged = (): Float32Array<SharedArrayBuffer> =>
    buffers[1 - current] ?? new Float32Array(new SharedArrayBuffer(0));
  const board = new WeightsBoard({
    get stagedWeights() {
      return staged();
    },
    adoptStagedWeights() {
      current = 1 - current;
      adopted.push([...(buffers[current] ?? [])]);
    },
  });
  return { board, adopted, inUse: () => [...(buffers[current] ?? [])] };
}

/** Weights of version v are all v + 1; a version is two frames. */
function half(version: number, part: 0 | 1): WeightsFrame {
  const payload = new Uint8Array(new Float32Array(P / 2).fill(version + 1).buffer);
  const offset = part * payload.byteLength;
  return { run: runId('r'), fence: fence(1), version: step(version), offset, totalBytes: 4 * P, payload };
}

function send(board: WeightsBoard, version: number): void {
  board.accept(half(version, 0));
  board.accept(half(version, 1));
}

const weightsOf = (version: number): number[] => Array.from({ length: P }, () => version + 1);

describe('the weights board', () => {
  test('releases who waits, and who comes later, once no version will come any more', async () => {
    const { board } = openBoard();
    send(board, 0);
    const waiting = board.until(1, never);
    board.close();
    expect(await waiting).toBe('released');
    expect(await board.until(2, never)).toBe('released');
    expect(await board.until(0, never)).toBe('ready');
  });

  test('adopts a version when its last frame is there, in whatever order they come', async () => {
    const { board, adopted } = openBoard();
    board.accept(half(0, 1));
    expect(adopted).toEqual([]);
    board.accept(half(0, 0));
    expect(adopted).toEqual([weightsOf(0)]);
    expect(await board.until(0, never)).toBe('ready');
  });

  test('gives up a version whose frames are overtaken by a later one, and drops those that still come', () => {
    const { board, adopted } = openBoard();
    board.accept(half(0, 0));
    board.accept(half(1, 0));
    board.accept(half(0, 1));
    expect(adopted).toEqual([]);
    board.accept(half(1, 1));
    expect(adopted).toEqual([weightsOf(1)]);
  });

  test('never changes weights under a computation, and adopts what came meanwhile when it ends, also by an error', async () => {
    const { board, adopted, inUse } = openBoard();
    send(board, 0);
    const computing = board.hold(async () => {
      const before = inUse();
      send(board, 1);
      expect(inUse()).toEqual(before);
      expect(adopted).toHaveLength(1);
      throw new Error('the kernel failed');
    });
    await expect(computing).rejects.toThrow('the kernel failed');
    expect(adopted).toEqual([weightsOf(0), weightsOf(1)]);
  });

  test('does not adopt the rest of a version when a computation ends in its middle', async () => {
    const { board, adopted } = openBoard();
    send(board, 0);
    await board.hold(async () => board.accept(half(1, 0)));
    expect(adopted).toEqual([weightsOf(0)]);
    board.accept(half(1, 1));
    expect(adopted).toEqual([weightsOf(0), weightsOf(1)]);
  });

  test('tells who waits: ready, superseded by a later version, or released', async () => {
    const { board } = openBoard();
    const release = new AbortController();
    const waits = [board.until(0, never), board.until(1, never), board.until(2, release.signal)];
    send(board, 1);
    expect(await Promise.all(waits.slice(0, 2))).toEqual(['superseded', 'ready']);
    release.abort();
    expect(await waits[2]).toBe('released');
    expect(await board.until(0, never)).toBe('superseded');
    expect(await board.until(2, release.signal)).toBe('released');
  });

  test('refuses weights of a model of another size', () => {
    const { board } = openBoard();
    expect(() => board.accept({ ...half(0, 0), totalBytes: 4 * P + 4 })).toThrow(RangeError);
    expect(() => board.accept({ ...half(0, 1), offset: 12 })).toThrow(RangeError);
  });

  test('only ever adopts whole versions, each later than the one before, however frames mix', () => {
    const frames = fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.constantFrom<0 | 1>(0, 1)), { maxLength: 30 });
    fc.assert(
      fc.property(frames, (some) => {
        const { board, adopted } = openBoard();
        // A stream delivers a frame once.
        for (const key of new Set(some.map(([version, part]) => `${version} ${part}`))) {
          const [version, part] = key.split(' ').map(Number);
          board.accept(half(version ?? 0, part === 0 ? 0 : 1));
        }
        const versions = adopted.map(([first = 0]) => first - 1);
        expect(adopted).toEqual(versions.map(weightsOf));
        expect(versions).toEqual([...new Set(versions)].toSorted((left, right) => left - right));
      }),
    );
  });
});
