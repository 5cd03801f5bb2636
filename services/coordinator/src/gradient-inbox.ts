import type { AveragerEngine } from '#engine';
import {
  blockKey,
  type GradientFrame,
  type GradientReceipt,
  gradientKey,
  type RunState,
  takesGradients,
  type WorkerId,
} from '#training';
import { ContestedPlaces } from './contested-places.js';
import { type Arrival, Uploads } from './uploads.js';

/**
 * Receives gradients into the averager's slots, each block in the slot of its place in the step.
 *
 * Two workers may send the same block, each into a place of its own until one is whole. A frame for a block that is in, or
 * not of the current step, is dropped: the slot may be in use by the averager.
 */
export class GradientInbox {
  readonly #engine: AveragerEngine;
  readonly #uploads = new Uploads();
  readonly #places = new ContestedPlaces();

  constructor(engine: AveragerEngine) {
    this.#engine = engine;
  }

  accept(state: RunState, worker: WorkerId, frame: GradientFrame): 'written' | 'dropped' {
    const held = state.items.get(gradientKey(frame.step, frame.block));
    if (held === undefined || held.receipt !== undefined || !takesGradients(state, frame.step)) return 'dropped';
    const slot = this.#engine.inbox(slotOf(frame));
    const end = frame.offset + frame.payload.byteLength;
    if (frame.totalBytes !== slot.byteLength || end > slot.byteLength) return 'dropped';
    this.#places.write(worker, keyOf(frame), slot, frame.offset, frame.payload);
    this.#uploads.add(worker, keyOf(frame), frame);
    return 'written';
  }

  /** Ends a worker's upload of a block, which lies in its slot then; undefined when bytes are missing. */
  complete(state: RunState, receipt: GradientReceipt): Arrival | undefined {
    const slot = this.#engine.inbox(slotOf(receipt));
    const key = keyOf(receipt);
    const arrival = this.#uploads.end(receipt.worker, key, slot.byteLength);
    const held = state.items.get(gradientKey(receipt.step, receipt.block));
    // A slot whose block is in may be in use.
    if (arrival === undefined || held === undefined || held.receipt !== undefined)
      this.#places.drop(receipt.worker, key);
    else this.#places.settle(receipt.worker, key, slot);
    return arrival;
  }

  /** Uploads of this worker that will not be finished, or of steps that are past. */
  forget(worker: WorkerId): void {
    this.#uploads.forget(worker);
    this.#places.forget(worker);
  }
}

/** All blocks of a step have the same size, so a block's place in the step is its slot. */
export function slotOf({ block }: Pick<GradientFrame, 'block'>): number {
  return block.begin / (block.end - block.begin);
}

function keyOf({ step, block }: Pick<GradientFrame, 'step' | 'block'>): string {
  return `${step}.${blockKey(block)}`;
}
