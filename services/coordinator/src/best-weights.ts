import type { RunState } from '#training';
import type { PreparedRun } from './prepare-run.js';

/** Weights of a run's best epoch: copies that nobody writes to, so that a checkpoint may hold one while it is written. */
export class BestWeights {
  #newest: { readonly step: number; readonly weights: Float32Array } | undefined;
  #before: { readonly step: number; readonly weights: Float32Array } | undefined;

  /** Copies the weights of so many committed steps. Those before stay until `forgetBefore`. */
  keep(step: number, weights: Float32Array): void {
    this.#before = this.#newest;
    this.#newest = { step, weights: weights.slice() };
  }

  forgetBefore(): void {
    this.#before = undefined;
  }

  /** @throws Error when they were not kept */
  of(step: number): Float32Array {
    const found = [this.#newest, this.#before].find((kept) => kept?.step === step);
    if (found === undefined) throw new Error(`the weights of step ${step} were not kept`);
    return found.weights;
  }
}

/** Called when an epoch was judged the best, while the weights are still those that were judged. */
export function keepBest({ best, engine, job }: PreparedRun, state: RunState): void {
  if (job.train.keep === 'best' && state.best !== undefined) best.keep(state.best.step, engine.weights);
}

/** Puts the best epoch's weights in the place of the last ones. */
export async function restoreBest({ best, engine }: PreparedRun, step: number): Promise<void> {
  engine.weights.set(best.of(step));
  await engine.roundWeights();
}
