import { setMaxListeners } from 'node:events';
import type { EventLog } from '#storage';
import type { RunEvent, RunEventBody } from '#training';

/** Events kept in memory for those who watch along; who is further behind reads the file. */
const RECENT_EVENTS = 1_024;

/**
 * The events of one run: written to its folder, and then handed to whoever watches. In this order, so that a coordinator
 * which takes over after a crash has every event that anybody has seen, under the same number.
 */
export class RunEvents {
  readonly #run: string;
  readonly #log: Pick<EventLog, 'append' | 'readEvents' | 'onWritten' | 'count'>;
  readonly #arrived = new EventTarget();
  readonly #recent: RunEvent[] = [];
  #count: number;
  /** So many of them may be seen. */
  #written: number;
  #ended = false;
  #listener: (event: RunEvent) => void = () => undefined;

  constructor(run: string, log: Pick<EventLog, 'append' | 'readEvents' | 'onWritten' | 'count'>) {
    this.#run = run;
    setMaxListeners(0, this.#arrived); // as many as watch: that is limited elsewhere
    this.#log = log;
    this.#count = log.count;
    this.#written = log.count;
    log.onWritten((count) => {
      this.#written = count;
      this.#arrived.dispatchEvent(new Event('arrived'));
    });
  }

  /** From now on this one hears every event as it is appended; it takes the place of the one before. */
  listen(listener: (event: RunEvent) => void): void {
    this.#listener = listener;
  }

  append(body: RunEventBody): void {
    if (this.#ended) return;
    const event: RunEvent = { ...body, time: new Date().toISOString(), run: this.#run };
    this.#log.append(event);
    this.#recent[this.#count % RECENT_EVENTS] = event;
    this.#count++;
    this.#ended = body.event === 'run_finished' || body.event === 'run_failed';
    this.#listener(event);
  }

  /**
   * Events from number `from`, then live ones, until the run's last event or the signal.
   * @param restMs a watcher that is up to date is woken so much later, for all that came meanwhile; the last event waits for nothing
   */
  async *watch(from: number, signal: AbortSignal, restMs = 0): AsyncGenerator<RunEvent> {
    let next = from;
    while (!signal.aborted) {
      const recent =
        next >= this.#count - RECENT_EVENTS && next < this.#written ? this.#recent[next % RECENT_EVENTS] : undefined;
      if (recent !== undefined) {
        yield recent;
        next++;
      } else if (next < this.#written) {
        for await (const event of this.#log.readEvents(next)) {
          yield event;
          next++;
        }
      } else if (this.#ended && next >= this.#count) return;
      else await this.#another(signal, restMs);
    }
  }

  #another(signal: AbortSignal, restMs: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const done = (): void => {
        clearTimeout(timer);
        this.#arrived.removeEventListener('arrived', arrived);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const arrived = (): void => {
        if (restMs === 0 || this.#ended) done();
        else timer ??= setTimeout(done, restMs);
      };
      this.#arrived.addEventListener('arrived', arrived);
      signal.addEventListener('abort', done);
    });
  }
}
