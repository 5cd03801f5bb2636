import type { AverageItem } from '#training';

/** Who averages: the trainer of the run in training, or nobody. */
export interface Averager {
  average(item: AverageItem, signal: AbortSignal): Promise<unknown>;
}

/** Hands items of the `averages` queue to the run in training; those of runs that have ended are done at once. */
export class AveragesDesk {
  #averager: Averager | undefined;

  assign(averager: Averager | undefined): void {
    this.#averager = averager;
  }

  async process(item: AverageItem, signal: AbortSignal): Promise<unknown> {
    return (await this.#averager?.average(item, signal)) ?? 'of no run in training';
  }
}
