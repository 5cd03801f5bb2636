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
import { type Arrival, Uploads } from './uploads.js';

/**
 * Receives gradients into the averager's slots, each block in the slot of its place in the step.
 *
 * Two workers may send the same block: both write the same bits to the same place, so their frames may mix. A frame
 * for a block that is in, or not of the current step, is dropped: the slot may be in use by the averager.
 */
export class GradientInbox {
  readonly #engine: AveragerEngine;
  readonly #uploads = new Uploads();

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
    this.#uploads.add(worker, keyOf(frame), frame);
    return 'written';
  }

  /** Ends a worker's upload of a block; undefined when bytes are missing. */
  complete(receipt: GradientReceipt): Arrival | undefined {
    return this.#uploads.end(receipt.worker, keyOf(receipt), this.#engine.inbox(slotOf(receipt)).byteLength);
  }

  /** Uploads of this worker that will not be finished, or of steps that are past. */
  forget(worker: WorkerId): void {
    this.#uploads.forget(worker);
  }
}

/** All blocks of a step have the same size, so a block's place in the step is its slot. */
export function slotOf({ block }: Pick<GradientFrame, 'block'>): number {
  return block.begin / (block.end - block.begin);
}

function keyOf({ step, block }: Pick<GradientFrame, 'step' | 'block'>): string {
  return `${step}.${blockKey(block)}`;
}
