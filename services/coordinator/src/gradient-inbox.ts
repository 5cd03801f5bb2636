import type { AveragerEngine } from '#engine';
import { copyBytes } from '#protocol';
import {
  blockKey,
  type GradientFrame,
  type GradientReceipt,
  gradientKey,
  type RunState,
  takesGradients,
  type WorkerId,
} from '#training';

/** When a block's bytes came in, on the coordinator's monotonic clock, milliseconds. */
export interface Arrival {
  readonly firstFrameAt: number;
  readonly lastFrameAt: number;
}

interface Upload extends Arrival {
  readonly bytes: number;
}

/**
 * Receives gradients into the averager's slots, each block in the slot of its place in the step.
 *
 * Two workers may send the same block: both write the same bits to the same place, so their frames may mix. A frame
 * for a block that is in, or not of the current step, is dropped: the slot may be in use by the averager.
 */
export class GradientInbox {
  readonly #engine: AveragerEngine;
  readonly #uploads = new Map<string, Upload>();

  constructor(engine: AveragerEngine) {
    this.#engine = engine;
  }

  accept(state: RunState, worker: WorkerId, frame: GradientFrame): 'written' | 'dropped' {
    const held = state.items.get(gradientKey(frame.step, frame.block));
    if (held === undefined || held.receipt !== undefined || !takesGradients(state, frame.step)) return 'dropped';
    const slot = this.#engine.inbox(slotOf(frame));
    const end = frame.offset + frame.payload.byteLength;
    if (frame.totalBytes !== slot.byteLength || end > slot.byteLength) return 'dropped';
    copyBytes(slot, frame.offset, frame.payload);
    const key = uploadKey(worker, frame);
    const now = performance.now();
    const upload = this.#uploads.get(key);
    this.#uploads.set(key, {
      bytes: (upload?.bytes ?? 0) + frame.payload.byteLength,
      firstFrameAt: upload?.firstFrameAt ?? now,
      lastFrameAt: now,
    });
    return 'written';
  }

  /** Ends a worker's upload of a block; undefined when bytes are missing. */
  complete(receipt: GradientReceipt): Arrival | undefined {
    const key = uploadKey(receipt.worker, receipt);
    const upload = this.#uploads.get(key);
    this.#uploads.delete(key);
    return upload?.bytes === this.#engine.inbox(slotOf(receipt)).byteLength ? upload : undefined;
  }

  /** Uploads of this worker that will not be finished, or of steps that are past. */
  forget(worker: WorkerId): void {
    for (const key of this.#uploads.keys()) if (key.startsWith(`${worker}/`)) this.#uploads.delete(key);
  }
}

/** All blocks of a step have the same size, so a block's place in the step is its slot. */
export function slotOf({ block }: Pick<GradientFrame, 'block'>): number {
  return block.begin / (block.end - block.begin);
}

function uploadKey(worker: WorkerId, { step, block }: Pick<GradientFrame, 'step' | 'block'>): string {
  return `${worker}/${step}.${blockKey(block)}`;
}
