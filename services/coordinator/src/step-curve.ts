import type { RunEvent } from '#training';
import type { StepRow, StepRows } from '../page/messages.js';

export type StepCommitted = RunEvent & { readonly event: 'step_committed' };

/** As many as a wide screen has columns; each is drawn with two points at the most. */
const MOST_BUCKETS = 1_000;

interface Extremes {
  low: StepCommitted;
  high: StepCommitted;
}

/** Steps that are drawn as one: those with the lowest and the highest loss and norm, and what is a mean over all. */
interface Bucket {
  first: number;
  readonly loss: Extremes;
  readonly norm: Extremes;
  count: number;
  samples: number;
  /** Sums: of the duration, then of the phases. */
  readonly sums: Float64Array;
  /** Number of its last event. */
  through: number;
}

/**
 * The curves of a run, however long, in 2,000 points: of so many steps as share a column of the screen the lowest and the
 * highest loss stay, so no peak is lost.
 */
export class StepCurve {
  #width = 1;
  #buckets: Bucket[] = [];
  /** Number of the event with which the columns became wider: who has seen less needs all of them. */
  #widenedAt = -1;

  /** @param number of the event in the run's log */
  add(event: StepCommitted, number: number): void {
    const first = event.step - (event.step % this.#width);
    let last = this.#buckets.at(-1);
    // Steps come in order; after a damaged log one may come again, and what was behind it goes.
    if (last !== undefined && last.first > first) {
      this.#buckets = this.#buckets.filter((bucket) => bucket.first < first);
      this.#widenedAt = number;
      last = undefined;
    }
    if (last?.first === first) join(last, bucketOf(event, number, first));
    else this.#buckets.push(bucketOf(event, number, first));
    if (this.#buckets.length > MOST_BUCKETS) this.#widen(number);
  }

  /** What changed since somebody had seen the events below number `seen`. */
  since(seen: number): StepRows | undefined {
    const all = seen <= this.#widenedAt;
    const index = all ? 0 : this.#buckets.findIndex(({ through }) => through >= seen);
    const begin = this.#buckets[index];
    if (begin === undefined) return undefined;
    return { from: all ? 0 : begin.first, rows: this.#buckets.slice(index).flatMap(rowsOf) };
  }

  #widen(number: number): void {
    this.#width *= 2;
    this.#widenedAt = number;
    const wider: Bucket[] = [];
    for (const bucket of this.#buckets) {
      const first = bucket.first - (bucket.first % this.#width);
      const last = wider.at(-1);
      if (last?.first === first) join(last, bucket);
      else wider.push(Object.assign(bucket, { first }));
    }
    this.#buckets = wider;
  }
}

function bucketOf(event: StepCommitted, through: number, first: number): Bucket {
  const { samples, durationMs, phases } = event;
  const { broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs } = phases;
  return {
    first,
    loss: { low: event, high: event },
    norm: { low: event, high: event },
    count: 1,
    samples,
    sums: Float64Array.of(durationMs, broadcastMs, computeMs, uploadMs, waitMs, averageMs, commitMs),
    through,
  };
}

/** Adds a later bucket's steps to an earlier one. */
function join(earlier: Bucket, later: Bucket): void {
  if (later.loss.low.loss < earlier.loss.low.loss) earlier.loss.low = later.loss.low;
  if (later.loss.high.loss > earlier.loss.high.loss) earlier.loss.high = later.loss.high;
  if (later.norm.low.gradientNorm < earlier.norm.low.gradientNorm) earlier.norm.low = later.norm.low;
  if (later.norm.high.gradientNorm > earlier.norm.high.gradientNorm) earlier.norm.high = later.norm.high;
  earlier.count += later.count;
  earlier.samples += later.samples;
  for (let index = 0; index < earlier.sums.length; index++)
    earlier.sums[index] = (earlier.sums[index] ?? 0) + (later.sums[index] ?? 0);
  earlier.through = later.through;
}

function rowsOf({ loss, norm, count, samples, sums }: Bucket): readonly StepRow[] {
  const [ms = 0, ...phases] = [...sums].map((sum) => sum / count);
  const perSecond = ms > 0 ? (samples / count / ms) * 1000 : 0;
  const points = inOrder(loss);
  const norms = inOrder(norm);
  return points.map(({ step, loss: value, learningRate }, index) => {
    const { gradientNorm } = norms[index] ?? norms[0] ?? loss.low;
    return [step, ...[value, learningRate, gradientNorm, ms, perSecond, ...phases].map(rounded)];
  });
}

/** The extremes in the order they came; one where they are the same step. */
function inOrder({ low, high }: Extremes): readonly StepCommitted[] {
  if (low.step === high.step) return [low];
  return low.step < high.step ? [low, high] : [high, low];
}

const rounded = (value: number): number => Number(value.toPrecision(5));
