/** Whether the norm of a mean gradient is far outside of what it was lately. Pure; an alarm, not a judgement. */

export interface NormOutlier {
  /** Median of the last steps. */
  readonly usual: number;
  /** Distance from it, in median absolute deviations. */
  readonly deviations: number;
}

/** Steps that count as lately, and how many it takes before anything is an outlier. */
const WINDOW = 64;
const ENOUGH = 20;
/** So many median absolute deviations, and so many times the median: a norm that hardly varies must not alarm by a hair. */
const MOST_DEVIATIONS = 6;
const MOST_TIMES = 5;
/** Said of a distance beyond it, and where all norms were equal. */
const MANY = 1e6;

/** @param lately norms of the steps before, oldest first */
export function normOutlier(lately: readonly number[], norm: number): NormOutlier | undefined {
  if (lately.length < ENOUGH || !Number.isFinite(norm)) return undefined;
  const usual = median(lately);
  const spread = median(lately.map((each) => Math.abs(each - usual)));
  const distance = Math.abs(norm - usual);
  if (distance <= MOST_DEVIATIONS * spread || norm <= MOST_TIMES * usual) return undefined;
  return { usual, deviations: spread === 0 ? MANY : Math.min(MANY, distance / spread) };
}

export function withNorm(lately: readonly number[], norm: number): readonly number[] {
  return Number.isFinite(norm) ? [...lately.slice(1 - WINDOW), norm] : lately;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? 0;
}
