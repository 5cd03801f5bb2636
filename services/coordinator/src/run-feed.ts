/** What pages that show one run are sent: one reader of its events for all of them, one text for all that are up to date. */
import type { StreamedEvent } from '#telemetry';
import type { RunEvent, RunSummary } from '#training';
import type { LiveRun, PageFrame } from '../page/messages.js';
import { StepCurve } from './step-curve.js';

/** How often pages are told what is new. */
const TELL_MS = 1_000;
/** A page that comes back, or is loaded again, finds what the last one left for so long. */
const KEEP_MS = 10_000;
const MOST_EPOCHS = 1_000;
const MOST_OTHERS = 1_000;

/** Where a feed has its news from. */
export interface FeedSource {
  /** Events from number `from` until the run's last one or the signal. */
  watch(from: number, signal: AbortSignal): AsyncIterable<RunEvent>;
  /** Undefined while the run is not in training. */
  live(): LiveRun | undefined;
  summary(): RunSummary;
}

interface Numbered {
  readonly number: number;
  /** Committed steps by then. */
  readonly step: number;
  readonly event: RunEvent;
}

export class RunFeed {
  readonly #source: FeedSource;
  readonly #gone = new AbortController();
  /** Pages that wait for news. */
  readonly #waiting = new Set<() => void>();
  readonly #curve = new StepCurve();
  #others: Numbered[] = [];
  #epochs: Numbered[] = [];
  /** Events read so far. */
  #count = 0;
  #committed = 0;
  #state: { readonly kind: 'reading' | 'over' } | { readonly kind: 'broken'; readonly error: unknown } = {
    kind: 'reading',
  };
  #readers = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Of this turn: what is new since an event, as it is sent. */
  #texts = new Map<number, string>();

  constructor(source: FeedSource) {
    this.#source = source;
    void this.#read();
  }

  /** No more will come. */
  get isOver(): boolean {
    return this.#state.kind !== 'reading';
  }

  get readers(): number {
    return this.#readers;
  }

  close(): void {
    this.#gone.abort();
  }

  /** What is new since event number `seen`, then what comes, once a second. */
  async *follow(from: number, signal: AbortSignal): AsyncGenerator<StreamedEvent> {
    this.#readers++;
    this.#timer ??= setInterval(() => this.#tell(), TELL_MS);
    let next = from;
    try {
      while (!signal.aborted) {
        const { kind } = this.#state;
        if (this.#state.kind === 'broken') throw this.#state.error;
        if (next < this.#count || kind === 'reading') {
          const data = this.#textSince(next);
          next = Math.max(next, this.#count);
          yield { ...(next > 0 ? { id: next - 1 } : {}), data };
        }
        if (kind === 'over' && next >= this.#count) return;
        await this.#turn(signal);
      }
    } finally {
      this.#readers--;
      if (this.#readers === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const event of this.#source.watch(0, this.#gone.signal)) this.#add(event);
      this.#state = { kind: 'over' };
    } catch (error) {
      this.#state = { kind: 'broken', error };
    }
    this.#tell();
  }

  #add(event: RunEvent): void {
    const number = this.#count++;
    const step = this.#committed;
    if (event.event === 'step_committed') {
      this.#committed = event.step + 1;
      this.#curve.add(event, number);
    } else if (event.event === 'epoch_finished') {
      this.#epochs.push({ number, step, event });
      // Of very many every other one; the newest stays.
      if (this.#epochs.length > MOST_EPOCHS) this.#epochs = this.#epochs.filter((_, index) => index % 2 === 0);
    } else {
      this.#others.push({ number, step, event });
      const surplus = this.#others.findIndex((other) => other.event.event !== 'run_started');
      if (this.#others.length > MOST_OTHERS) this.#others.splice(surplus, 1);
    }
  }

  #tell(): void {
    this.#texts = new Map();
    for (const wake of [...this.#waiting]) wake();
  }

  #textSince(seen: number): string {
    const known = this.#texts.get(seen);
    if (known !== undefined) return known;
    const text = JSON.stringify(this.#frameSince(seen));
    this.#texts.set(seen, text);
    return text;
  }

  #frameSince(seen: number): PageFrame {
    const events = [...this.#others, ...this.#epochs]
      .filter(({ number }) => number >= seen)
      .sort((left, right) => left.number - right.number)
      .map(({ step, event }) => ({ step, event }));
    const steps = this.#curve.since(seen);
    const live = this.#source.live();
    return {
      events,
      ...(steps === undefined ? {} : { steps }),
      ...(live === undefined ? {} : { live }),
      summary: this.#source.summary(),
    };
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done);
      if (signal.aborted) done();
    });
  }
}

/** One feed for each run that somebody looks at. */
export class RunFeeds {
  readonly #feeds = new Map<string, RunFeed>();

  /** @param open what the feed of a run reads, if there is none yet */
  async *follow(run: string, from: number, signal: AbortSignal, open: () => FeedSource): AsyncGenerator<StreamedEvent> {
    let feed = this.#feeds.get(run);
    const { state } = open().summary();
    // It had ended, and is in training again.
    if (feed?.isOver === true && state !== 'finished' && state !== 'failed') feed = undefined;
    if (feed === undefined) {
      feed = new RunFeed(open());
      this.#feeds.set(run, feed);
    }
    try {
      yield* feed.follow(from, signal);
    } finally {
      const left = feed;
      setTimeout(() => this.#drop(run, left), KEEP_MS).unref();
    }
  }

  #drop(run: string, feed: RunFeed): void {
    if (feed.readers > 0) return;
    feed.close();
    if (this.#feeds.get(run) === feed) this.#feeds.delete(run);
  }
}
