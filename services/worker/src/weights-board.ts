import { copyBytes } from '#protocol';
import type { WeightsFrame } from '#training';

/** What the board needs of an engine. */
export interface WeightsTarget {
  readonly stagedWeights: Float32Array<SharedArrayBuffer> | Uint16Array<SharedArrayBuffer>;
  adoptStagedWeights(): void;
}

/** Why a wait for a weight version ended without it. */
export type Missed = 'released' | 'superseded';

interface Waiter {
  readonly version: number;
  readonly resolve: (outcome: 'ready' | Missed) => void;
}

/**
 * Assembles weight versions from frames beside the version in use, and tells who waits when theirs is current.
 *
 * The staged version is adopted at once when nothing computes, else when the computation ends: no kernel call ever
 * sees weights change under it.
 */
export class WeightsBoard {
  readonly #target: WeightsTarget;
  #current = -1;
  #assembling = -1;
  #receivedBytes = 0;
  #complete = -1;
  #busy = false;
  #closed = false;
  #currentSince = 0;
  readonly #waiters = new Set<Waiter>();

  constructor(target: WeightsTarget) {
    this.#target = target;
  }

  /** Monotonic milliseconds (`performance.now()`) at which the current version was there. */
  get currentSince(): number {
    return this.#currentSince;
  }

  /** The version in use; -1: none. */
  get version(): number {
    return this.#current;
  }

  accept(frame: WeightsFrame): void {
    // Older than what is in use: made here, by a lease, before the coordinator could send it.
    if (frame.version < this.#assembling || frame.version <= this.#current) return;
    if (frame.version > this.#assembling) {
      this.#assembling = frame.version;
      this.#receivedBytes = 0;
      this.#complete = -1;
    }
    const staged = this.#target.stagedWeights;
    if (frame.totalBytes !== staged.byteLength || frame.offset + frame.payload.byteLength > staged.byteLength) {
      throw new RangeError(
        `weights of version ${frame.version} are ${frame.totalBytes} bytes, the model has ${staged.byteLength}`,
      );
    }
    copyBytes(new Uint8Array(staged.buffer, staged.byteOffset, staged.byteLength), frame.offset, frame.payload);
    this.#receivedBytes += frame.payload.byteLength;
    if (this.#receivedBytes < frame.totalBytes) return;
    this.#complete = frame.version;
    if (!this.#busy) this.#adopt();
  }

  /**
   * Waits until `version` is current. `superseded`: a later one is. `signal` ends the wait with `released`.
   * There is no deadline of its own: whoever aborts the signal (a closed session, a lost lock, a release) is it.
   */
  async until(version: number, signal: AbortSignal): Promise<'ready' | Missed> {
    if (this.#current === version) return 'ready';
    if (this.#current > version) return 'superseded';
    if (this.#closed || signal.aborted) return 'released';
    return new Promise((resolve) => {
      const released = (): void => waiter.resolve('released');
      const waiter: Waiter = {
        version,
        resolve: (outcome) => {
          this.#waiters.delete(waiter);
          signal.removeEventListener('abort', released);
          resolve(outcome);
        },
      };
      signal.addEventListener('abort', released, { once: true });
      this.#waiters.add(waiter);
    });
  }

  /** Runs `compute` with the current weights held still. */
  async hold<Result>(compute: () => Promise<Result>): Promise<Result> {
    this.#busy = true;
    try {
      return await compute();
    } finally {
      this.#busy = false;
      if (this.#complete > this.#current) this.#adopt();
    }
  }

  /** The weights in use were updated in place, by a lease. Called while they are held. */
  advance(version: number): void {
    this.#setCurrent(version);
  }

  /** What `adopt` makes current is `version`, whatever was in use before. Not while weights are held. */
  replace(version: number, adopt: () => void): void {
    if (this.#busy) throw new Error('weights were replaced while something computes on them');
    adopt();
    this.#assembling = -1;
    this.#complete = -1;
    this.#setCurrent(version);
  }

  /** What is in use is of no use: an earlier version is needed and will be sent. */
  forget(): void {
    this.#current = -1;
    this.#assembling = -1;
    this.#complete = -1;
  }

  /** No version will come any more: whoever waits is released, now and later. */
  close(): void {
    this.#closed = true;
    for (const waiter of [...this.#waiters]) waiter.resolve('released');
  }

  #adopt(): void {
    this.#target.adoptStagedWeights();
    this.#setCurrent(this.#complete);
  }

  #setCurrent(version: number): void {
    this.#current = version;
    this.#currentSince = performance.now();
    for (const waiter of [...this.#waiters]) {
      if (waiter.version === this.#current) waiter.resolve('ready');
      else if (waiter.version < this.#current) waiter.resolve('superseded');
    }
  }
}
