import { behaved, type Conducts, isShutOut, type Misconduct, misbehaved, type WorkerId } from '#training';
import type { RunContext } from './run-context.js';

/** Keeps workers from work for a growing time when what they are given comes to nothing, for one run. */
export class Quarantine {
  readonly #context: Pick<RunContext, 'events' | 'metrics' | 'log'>;
  #conducts: Conducts = new Map();
  /** Workers that have given a result since they joined. */
  readonly #useful = new Set<WorkerId>();

  constructor(context: Pick<RunContext, 'events' | 'metrics' | 'log'>) {
    this.#context = context;
  }

  holds(worker: WorkerId): boolean {
    return isShutOut(this.#conducts, worker, performance.now());
  }

  joined(worker: WorkerId): void {
    this.#useful.delete(worker);
  }

  accepted(worker: WorkerId): void {
    this.#useful.add(worker);
    this.#conducts = behaved(this.#conducts, worker);
  }

  /** Lost without a word. One that had done something is not to blame. */
  lost(worker: WorkerId, reason: string): void {
    if (!this.#useful.has(worker))
      this.#note(worker, 'lost', `lost again before it gave a single result: ${reason}`, []);
    this.#useful.delete(worker);
  }

  /** @returns whether it is shut out from now on */
  failed(worker: WorkerId, reason: string): boolean {
    return this.#note(worker, 'failed', `failed again: ${reason}`, []);
  }

  distrust(worker: WorkerId, reason: string, unproven: readonly string[]): void {
    this.#note(worker, 'lied', reason, unproven);
  }

  #note(worker: WorkerId, what: Misconduct, reason: string, unproven: readonly string[]): boolean {
    const [conducts, forMs] = misbehaved(this.#conducts, worker, what, performance.now());
    this.#conducts = conducts;
    if (forMs === undefined) return false;
    const { events, metrics, log } = this.#context;
    metrics.workerQuarantined(what);
    log.warn('worker_quarantined', { worker, reason, seconds: forMs / 1000 });
    events.append({ event: 'worker_quarantined', worker, reason, seconds: forMs / 1000, unproven });
    return true;
  }
}
