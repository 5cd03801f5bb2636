import type { LeaseEngine } from '#engine';
import { copyBytes } from '#protocol';
import { type Step, step as toStep, versionOf, type WeightsFrame, type WorkerItem } from '#training';
import type { Missed, WeightsBoard } from './weights-board.js';

/** What it needs of an engine: where weights and optimizer state are received. */
export interface LeaseTarget {
  readonly lease: Pick<LeaseEngine, 'optimizerState' | 'receivedWeights' | 'adoptReceived'> | undefined;
}

/**
 * Knows of which version this worker's optimizer state is, and receives it for the lease in hand.
 *
 * It stays here from one lease to the next. Only when somebody else computed meanwhile is it sent, weights and all, and
 * only to the worker that says it lacks them; so frames for anything but the lease in hand are late, and dropped.
 */
export class LeaseState {
  readonly #target: LeaseTarget;
  readonly #board: WeightsBoard;
  #version = -1;
  /** Version of the lease in hand, while its state has to come. */
  #expected: number | undefined;
  #receivedBytes = 0;
  #waiting: ((outcome: 'ready' | Missed) => void) | undefined;

  constructor(target: LeaseTarget, board: WeightsBoard) {
    this.#target = target;
    this.#board = board;
  }

  /** The version made here by a lease, while both weights and optimizer state are of it. */
  get held(): Step | undefined {
    return this.#version >= 0 && this.#version === this.#board.version ? toStep(this.#version) : undefined;
  }

  /**
   * An item was taken: expects what it needs and is not here.
   * @returns what the coordinator has to know to send that
   */
  take(item: WorkerItem): Step | undefined {
    const { held } = this;
    const version = versionOf(item);
    this.#expected = undefined;
    if (item.kind === 'lease') {
      if (held !== version) this.#expect(version);
    } else if (held !== undefined && held > version) {
      this.#board.forget();
      this.#version = -1;
    }
    return held;
  }

  accept({ version, offset, totalBytes, payload }: WeightsFrame): void {
    const { lease } = this.#target;
    if (version !== this.#expected || lease === undefined) return;
    const { receivedWeights } = lease;
    const weightBytes = receivedWeights.byteLength;
    if (totalBytes !== weightBytes + lease.optimizerState.byteLength || offset + payload.byteLength > totalBytes) {
      throw new RangeError(`the state of version ${version} is ${totalBytes} bytes, which is not this model's`);
    }
    if (offset === 0) this.#receivedBytes = 0;
    const head = payload.subarray(0, Math.max(0, weightBytes - offset));
    const rest = payload.subarray(head.byteLength);
    if (head.byteLength > 0) copyBytes(bytesOf(receivedWeights), offset, head);
    if (rest.byteLength > 0) copyBytes(bytesOf(lease.optimizerState), offset + head.byteLength - weightBytes, rest);
    this.#receivedBytes += payload.byteLength;
    if (this.#receivedBytes < totalBytes) return;
    this.#expected = undefined;
    this.#board.replace(version, () => lease.adoptReceived());
    this.#version = version;
    this.#waiting?.('ready');
  }

  /** Waits for what the lease in hand begins with, until the signal. */
  async ready(signal: AbortSignal): Promise<'ready' | Missed> {
    if (this.#expected === undefined) return 'ready';
    if (signal.aborted) return 'released';
    const outcome = await new Promise<'ready' | Missed>((resolve) => {
      const released = (): void => this.#waiting?.('released');
      this.#waiting = (settled) => {
        this.#waiting = undefined;
        signal.removeEventListener('abort', released);
        resolve(settled);
      };
      signal.addEventListener('abort', released, { once: true });
    });
    if (outcome !== 'ready') this.#expected = undefined;
    return outcome;
  }

  /** A lease has made this version, in place. Called while the weights are held. */
  advance(version: number): void {
    this.#board.advance(version);
    this.#version = version;
  }

  /** Nothing will come any more. */
  close(): void {
    this.#waiting?.('released');
  }

  #expect(version: number): void {
    this.#expected = version;
    this.#receivedBytes = 0;
    this.#version = -1; // what comes is written over what was held
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
