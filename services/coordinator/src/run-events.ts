import type { EventLog } from '#storage';
import type { RunEvent, RunEventBody } from '#training';

/** Events kept in memory for those who watch along; who is further behind reads the file. */
const RECENT_EVENTS = 1_024;

/** The events of one run: written to its folder, and handed to whoever watches. */
export class RunEvents {
  readonly #run: string;
  readonly #log: Pick<EventLog, 'append' | 'readEvents'>;
  readonly #arrived = new EventTarget();
  readonly #recent: RunEvent[] = [];
  #count = 0;
  #ended = false;

  constructor(run: string, log: Pick<EventLog, 'append' | 'readEvents'>) {
    this.#run = run;
    this.#log = log;
  }

  append(body: RunEventBody): void {
    if (this.#ended) return;
    const event: RunEvent = { ...body, time: new Date().toISOString(), run: this.#run };
    this.#log.append(event);
    this.#recent[this.#count % RECENT_EVENTS] = event;
    this.#count++;
    this.#ended = body.event === 'run_finished' || body.event === 'run_failed';
    this.#arrived.dispatchEvent(new Event('arrived'));
  }

  /** Events from number `from`, then live ones, until the run's last event or the signal. */
  async *watch(from: number, signal: AbortSignal): AsyncGenerator<RunEvent> {
    let next = from;
    while (!signal.aborted) {
      const recent =
        next >= this.#count - RECENT_EVENTS && next < this.#count ? this.#recent[next % RECENT_EVENTS] : undefined;
      if (recent !== undefined) {
        yield recent;
        next++;
      } else if (next < this.#count) {
        for await (const event of this.#log.readEvents(next)) {
          yield event;
          next++;
        }
      } else if (this.#ended) return;
      else await this.#another(signal);
    }
  }

  #another(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#arrived.removeEventListener('arrived', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#arrived.addEventListener('arrived', done);
      signal.addEventListener('abort', done);
    });
  }
}
