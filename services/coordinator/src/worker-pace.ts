/** What each worker computed since it was last told of: once a second at the most, however many steps that is. */
import type { WorkerMeasure } from '#training';

const EVERY_MS = 1_000;

export class WorkerPace {
  #sinceMs: number;
  readonly #now: () => number;
  readonly #sums = new Map<string, { samples: number; computeMs: number }>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
    this.#sinceMs = now();
  }

  /** The first weights are on their way: what comes before is no time of training. */
  begin(): void {
    this.#sinceMs = this.#now();
  }

  computed(worker: string, samples: number, computeMs: number): void {
    const sum = this.#sums.get(worker) ?? { samples: 0, computeMs: 0 };
    this.#sums.set(worker, { samples: sum.samples + samples, computeMs: sum.computeMs + computeMs });
  }

  /** What came since the last answer; undefined when that is less than a second ago, or nothing came. */
  due(): { readonly seconds: number; readonly workers: readonly WorkerMeasure[] } | undefined {
    const elapsedMs = this.#now() - this.#sinceMs;
    if (elapsedMs < EVERY_MS || this.#sums.size === 0) return undefined;
    const workers = [...this.#sums].map(([worker, sum]) => ({ worker, ...sum }));
    this.#sums.clear();
    this.#sinceMs = this.#now();
    return { seconds: elapsedMs / 1000, workers };
  }
}
