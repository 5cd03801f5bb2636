import { setImmediate as turnEnd } from 'node:timers/promises';
import { failpoint, RopeteamError, type RunEffect, type WorkerId } from '#training';
import type { PreparedRun } from './prepare-run.js';
import type { RunContext } from './run-context.js';

/** What the step protocol wants done with the queues, and what must come after it. */
export type QueueEffect =
  | Extract<RunEffect, { kind: 'announce' | 'hand-back' | 'withdraw' | 'release' }>
  /** A worker is gone: what it had taken without living to say so is for others. */
  | { readonly kind: 'hand-back-of'; readonly worker: WorkerId };

/** Performs effects on the queues one after the other; what one that fails should have done, the next `stalled` does. */
export class QueueLine {
  readonly #context: RunContext;
  readonly #prepared: Pick<PreparedRun, 'shape'>;
  readonly #refused: (itemId: string) => void;
  #line: Promise<void> = Promise.resolve();

  /** @param refused hears of an item whose lock was gone when it was to be handed back */
  constructor(context: RunContext, prepared: Pick<PreparedRun, 'shape'>, refused: (itemId: string) => void) {
    this.#context = context;
    this.#prepared = prepared;
    this.#refused = refused;
  }

  perform(effect: QueueEffect): void {
    this.#line = this.#line
      .then(() => this.#act(effect))
      .catch((error: unknown) => {
        if (error instanceof RopeteamError && error.code === 'COORD.FENCED') this.#context.onFenced(error);
        const code = error instanceof RopeteamError ? { code: error.code } : {};
        const message = error instanceof Error ? error.message : String(error);
        this.#context.log.warn('queue_trouble', { ...code, message });
      });
  }

  /** Resolves when every effect so far is done. */
  settled(): Promise<void> {
    return this.#line;
  }

  async #act(effect: QueueEffect): Promise<void> {
    const { queues, membership, traces } = this.#context;
    const { run, fence } = this.#prepared.shape;
    switch (effect.kind) {
      case 'announce':
        await turnEnd(); // weights that were published in this turn go out first
        failpoint('before-announce');
        await queues.announce(traces.announced(effect.items));
        failpoint('after-announce');
        return;
      case 'hand-back':
        if (!(await queues.handBack(effect.itemId, effect.token))) this.#refused(effect.itemId);
        return;
      case 'hand-back-of': {
        const items = await queues.handBackOf(effect.worker, run, fence);
        if (items.length > 0) this.#context.log.info('untold_items_back', { worker: effect.worker, items });
        return;
      }
      case 'withdraw':
        return queues.withdraw(run, fence);
      case 'release':
        // After what was put into the queue before it: the worker shall find that there.
        membership.send(effect.worker, { kind: 'release-item', itemId: effect.itemId });
        return;
      default:
        effect satisfies never;
    }
  }
}
