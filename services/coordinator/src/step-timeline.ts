import type { GradientReceipt, StepPhases } from '#training';
import type { Arrival } from './gradient-inbox.js';

/** Durations of undisturbed steps kept to know what a step takes when nothing is lost. */
const REMEMBERED_STEPS = 256;

/** Times the phases of each step, and how much of a run went into steps that a lost worker delayed. */
export class StepTimeline {
  #publishedAt = performance.now();
  #last: { readonly receipt: GradientReceipt; readonly arrival: Arrival } | undefined;
  #averageMs = 0;
  #disturbed = false;
  #lostMs = 0;
  #totalMs = 0;
  readonly #calm: number[] = [];

  /** Block arrivals are told in order: the last one is the one the step waited for. */
  arrived(receipt: GradientReceipt, arrival: Arrival): void {
    this.#last = { receipt, arrival };
  }

  averaged(durationMs: number): void {
    this.#averageMs = durationMs;
  }

  disturbed(): void {
    this.#disturbed = true;
  }

  /** The weights that end this step and begin the next are on their way. */
  published(): { readonly durationMs: number; readonly phases: StepPhases } {
    const now = performance.now();
    const durationMs = now - this.#publishedAt;
    const phases = this.#phases(durationMs);
    this.#remember(durationMs);
    this.#publishedAt = now;
    this.#last = undefined;
    this.#disturbed = false;
    return { durationMs, phases };
  }

  /** Time starts over: the first weights of the run are on their way. */
  begin(): void {
    this.#publishedAt = performance.now();
  }

  /** Share of the time so far that was not lost to workers that died. */
  goodput(): number {
    return this.#totalMs === 0 ? 1 : 1 - this.#lostMs / this.#totalMs;
  }

  #phases(durationMs: number): StepPhases {
    const averageMs = Math.min(this.#averageMs, durationMs);
    if (this.#last === undefined) {
      const commitMs = durationMs - averageMs;
      return { broadcastMs: 0, computeMs: 0, uploadMs: 0, waitMs: 0, averageMs, commitMs };
    }
    const { receipt, arrival } = this.#last;
    const uploadMs = arrival.lastFrameAt - arrival.firstFrameAt;
    const beforeUpload = Math.max(0, arrival.firstFrameAt - this.#publishedAt);
    // The worker may have had the weights, and begun, a moment before they count as published here.
    const computeMs = Math.min(receipt.computeMs, beforeUpload);
    const waitMs = Math.min(receipt.waitedMs, beforeUpload - computeMs);
    const broadcastMs = beforeUpload - computeMs - waitMs;
    const commitMs = Math.max(0, durationMs - beforeUpload - uploadMs - averageMs);
    return { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs };
  }

  #remember(durationMs: number): void {
    this.#totalMs += durationMs;
    if (this.#disturbed) this.#lostMs += Math.max(0, durationMs - this.#typicalMs());
    else {
      this.#calm.push(durationMs);
      if (this.#calm.length > REMEMBERED_STEPS) this.#calm.shift();
    }
  }

  #typicalMs(): number {
    const sorted = [...this.#calm].sort((left, right) => left - right);
    return sorted[Math.floor(sorted.length / 2)] ?? 0;
  }
}
