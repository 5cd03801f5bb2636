import type { GradientReceipt, Step } from '#training';

export interface ReadyStep {
  readonly step: Step;
  readonly receipts: readonly GradientReceipt[];
}

/** Where the averages queue and the step protocol meet: a step is averaged once both a job and its blocks are there. */
export class AveragingGate {
  readonly #moved = new EventTarget();
  #ready: ReadyStep | undefined;

  /** The step's blocks are in. */
  open(step: ReadyStep): void {
    this.#ready = step;
    this.#moved.dispatchEvent(new Event('moved'));
  }

  /** The step whose blocks are in, if no job has come for it yet: it is the caller's now. */
  take(): ReadyStep | undefined {
    const ready = this.#ready;
    this.#ready = undefined;
    return ready;
  }

  /** Something changed that may end a wait. */
  recheck(): void {
    this.#moved.dispatchEvent(new Event('moved'));
  }

  /** The next step whose blocks are in; each is given out once. Undefined when `needed` says no, or at the signal. */
  async next(needed: () => boolean, signal: AbortSignal): Promise<ReadyStep | undefined> {
    while (!signal.aborted && needed()) {
      const ready = this.take();
      if (ready !== undefined) return ready;
      await this.#change(signal);
    }
    return undefined;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#moved.removeEventListener('moved', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#moved.addEventListener('moved', done);
      signal.addEventListener('abort', done);
    });
  }
}
