import type { GradientReceipt, StepPhases } from '#training';
import type { Arrival } from './uploads.js';

/** Durations of undisturbed steps kept to know what a step takes when nothing is lost. */
const REMEMBERED_STEPS = 256;

/** What a worker timed itself: of a block, or of a whole lease. */
type Timed = Pick<GradientReceipt, 'computeMs' | 'waitedMs'>;

/** Times the phases of each step, and how much of a run went into steps that a lost worker delayed. */
export class StepTimeline {
  #publishedAt = performance.now();
  #last: { readonly receipt: Timed; readonly arrival: Arrival } | undefined;
  #averageMs = 0;
  #disturbed = false;
  #lostMs = 0;
  #totalMs = 0;
  readonly #calm: number[] = [];

  /** Block arrivals are told in order: the last one is the one the step waited for. */
  arrived(receipt: Timed, arrival: Arrival): void {
    this.#last = { receipt, arrival };
  }

  averaged(durationMs: number): void {
    this.#averageMs = durationMs;
  }

  disturbed(): void {
    this.#disturbed = true;
  }

  /**
   * The weights that end this step, or this lease of `steps` steps, and begin the next are on their way.
   * @returns of one step: an equal share
   */
  published(steps = 1): { readonly durationMs: number; readonly phases: StepPhases } {
    const now = performance.now();
    const total = now - this.#publishedAt;
    const phases = shareOf(this.#phases(total), steps);
    const durationMs = total / steps;
    this.#remember(durationMs, steps);
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

  #remember(durationMs: number, steps: number): void {
    this.#totalMs += durationMs * steps;
    if (this.#disturbed) this.#lostMs += steps * Math.max(0, durationMs - this.#typicalMs());
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

function shareOf(phases: StepPhases, steps: number): StepPhases {
  const { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs } = phases;
  return {
    broadcastMs: broadcastMs / steps,
    computeMs: computeMs / steps,
    uploadMs: uploadMs / steps,
    waitMs: waitMs / steps,
    averageMs: averageMs / steps,
    commitMs: commitMs / steps,
  };
}
