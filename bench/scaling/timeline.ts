/** The clock of a simulation: what happens when, and servers that take one thing after the other. Pure. */

export interface Timeline {
  now(): number;
  /** Of two actions for the same moment the one that was planned first comes first. */
  after(delayMs: number, action: () => void): void;
  /** Until nothing is planned any more. */
  run(): void;
}

interface Planned {
  readonly at: number;
  readonly order: number;
  readonly action: () => void;
}

export function openTimeline(): Timeline {
  const heap: Planned[] = [];
  let now = 0;
  let planned = 0;

  const earlier = (left: Planned, right: Planned): boolean =>
    left.at < right.at || (left.at === right.at && left.order < right.order);

  function push(entry: Planned): void {
    let child = heap.push(entry) - 1;
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!earlier(entry, heap[parent]!)) break;
      heap[child] = heap[parent]!;
      child = parent;
    }
    heap[child] = entry;
  }

  function pop(): Planned | undefined {
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let parent = 0;
    for (let child = 1; child < heap.length; child = 2 * parent + 1) {
      if (child + 1 < heap.length && earlier(heap[child + 1]!, heap[child]!)) child++;
      if (!earlier(heap[child]!, last)) break;
      heap[parent] = heap[child]!;
      parent = child;
    }
    heap[parent] = last;
    return first;
  }

  return {
    now: () => now,
    after(delayMs, action) {
      push({ at: now + delayMs, order: planned++, action });
    },
    run() {
      for (let next = pop(); next !== undefined; next = pop()) {
        now = next.at;
        next.action();
      }
    },
  };
}

/** Works on what it is given in the order it was given. */
export type Server = (durationMs: number, done: () => void) => void;

/** @param places things it works on at a time */
export function openServer(timeline: Timeline, places = 1): Server {
  const freeAt = Array.from({ length: places }, () => 0);
  return (durationMs, done) => {
    let place = 0;
    for (let other = 1; other < places; other++) if (freeAt[other]! < freeAt[place]!) place = other;
    const end = Math.max(timeline.now(), freeAt[place]!) + durationMs;
    freeAt[place] = end;
    timeline.after(end - timeline.now(), done);
  };
}

/** Carries pieces one after the other. */
export type Link = (bytes: number, done: () => void) => void;

/** @param burstBytes what goes at once after a pause: a token bucket, as `tc tbf` has; it is full at the start */
export function openLink(timeline: Timeline, bytesPerMs: number, burstBytes = 0): Link {
  let freeAt = 0;
  let tokens = burstBytes;
  return (bytes, done) => {
    const start = Math.max(timeline.now(), freeAt);
    tokens = Math.min(burstBytes, tokens + (start - freeAt) * bytesPerMs);
    const waitsFor = Math.max(0, bytes - tokens);
    tokens = Math.max(0, tokens - bytes);
    freeAt = start + waitsFor / bytesPerMs;
    timeline.after(freeAt - timeline.now(), done);
  };
}
