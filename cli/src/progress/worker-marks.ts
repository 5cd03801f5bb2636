/** The workers of a run as a display shows them: who is there, who works how much, who is slow, who was lost. Pure. */
import type { RunEvent, WorkerMeasure } from '#training';

export interface WorkerMark {
  readonly worker: string;
  /** Undefined while it is connected. */
  readonly lostAtMs?: number;
  /** Its share of the samples of each span, against whoever computed most in that: 0..1, the newest last. */
  readonly shares: readonly number[];
  /** Of its kernel, averaged over its last spans; undefined until it has computed something. */
  readonly msPerSample?: number;
  /** Share of the last span in which its kernel was busy: 0..1. */
  readonly busy?: number;
}

export type WorkerMarks = ReadonlyMap<string, WorkerMark>;

/** Cells of the small bar. */
const SPANS = 4;
/** A lost worker is shown for so long; who takes its place has a name of its own. */
const REMEMBER_LOST_MS = 30_000;
/** So much slower than the others' median, as for the alert RopeteamStraggler, which waits five minutes more. */
const SLOW_FACTOR = 3;
/** A kernel that is seldom busy holds nobody up, however slow it is. */
const LEAST_BUSY = 0.1;
/** Weight of the newest span. */
const SMOOTHING = 0.5;

export function advanceMarks(marks: WorkerMarks, event: RunEvent): WorkerMarks {
  const timeMs = Date.parse(event.time);
  switch (event.event) {
    case 'worker_joined':
      return withMark(marks, { worker: event.worker, shares: [] });
    case 'worker_left':
      return new Map([...marks].filter(([worker]) => worker !== event.worker));
    case 'worker_lost':
      return withMark(marks, { worker: event.worker, shares: [], lostAtMs: timeMs });
    case 'run_resumed':
      // Whoever was connected before comes back with a word of its own.
      return new Map();
    case 'workers_measured':
      return measured(recent(marks, timeMs), event);
    default:
      return marks;
  }
}

/** Computes much slower than its peers. */
export function isSlow(mark: WorkerMark, marks: WorkerMarks): boolean {
  const others = connected(marks)
    .filter(({ worker }) => worker !== mark.worker)
    .flatMap(({ msPerSample }) => (msPerSample === undefined ? [] : [msPerSample]));
  const typical = others.sort((left, right) => left - right)[Math.floor((others.length - 1) / 2)];
  const { msPerSample, busy = 0 } = mark;
  return msPerSample !== undefined && typical !== undefined && msPerSample > SLOW_FACTOR * typical && busy > LEAST_BUSY;
}

export function connected(marks: WorkerMarks): readonly WorkerMark[] {
  return [...marks.values()].filter(({ lostAtMs }) => lostAtMs === undefined);
}

/** `▁▃▅█`: the newest share last, as high as it is large. */
export function shareBar(shares: readonly number[]): string {
  const heights = '▁▂▃▄▅▆▇█';
  return shares.map((share) => heights[Math.round(share * (heights.length - 1))]).join('');
}

function measured(
  marks: WorkerMarks,
  { seconds, workers: measures }: { readonly seconds: number; readonly workers: readonly WorkerMeasure[] },
): WorkerMarks {
  const most = Math.max(1, ...measures.map(({ samples }) => samples));
  const known = new Map(marks);
  // Events of a run that was joined late may not name those that were there before.
  for (const { worker } of measures) if (!known.has(worker)) known.set(worker, { worker, shares: [] });
  return new Map(
    [...known].map(([worker, mark]) => {
      if (mark.lostAtMs !== undefined) return [worker, mark];
      const measure = measures.find((one) => one.worker === worker);
      const shares = [...mark.shares, (measure?.samples ?? 0) / most].slice(-SPANS);
      if (measure === undefined || measure.samples === 0) return [worker, { ...mark, shares }];
      const now = measure.computeMs / measure.samples;
      const msPerSample =
        mark.msPerSample === undefined ? now : mark.msPerSample + SMOOTHING * (now - mark.msPerSample);
      return [worker, { ...mark, shares, msPerSample, busy: measure.computeMs / 1000 / seconds }];
    }),
  );
}

function recent(marks: WorkerMarks, timeMs: number): WorkerMarks {
  return new Map([...marks].filter(([, { lostAtMs = timeMs }]) => timeMs - lostAtMs <= REMEMBER_LOST_MS));
}

function withMark(marks: WorkerMarks, mark: WorkerMark): WorkerMarks {
  return new Map([...marks, [mark.worker, mark]]);
}
