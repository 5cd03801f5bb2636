/** What is done and told when more than one worker computes the same, and when one of them is wrong. */
import { itemKey, type RunEffect } from '#training';
import type { PreparedRun } from './prepare-run.js';
import type { Quarantine } from './quarantine.js';
import type { RunContext } from './run-context.js';

type SecondLook = RunEffect & { kind: 'copy' | 'verified' | 'distrust' };

export class SecondLooks {
  readonly #context: RunContext;
  readonly #share: number;
  readonly #quarantine: Quarantine;
  #idle = false;

  constructor(context: RunContext, prepared: PreparedRun, quarantine: Quarantine) {
    this.#context = context;
    this.#share = prepared.job.train.verify;
    this.#quarantine = quarantine;
  }

  perform(effect: SecondLook): void {
    const { membership, metrics, events } = this.#context;
    switch (effect.kind) {
      case 'copy':
        metrics.blockCopied(effect.reason);
        if (effect.reason === 'straggler' && effect.worker !== undefined) {
          const reason = 'it takes far longer than others do';
          events.append({ event: 'block_copied', item: itemKey(effect.item), worker: effect.worker, reason });
        }
        return;
      case 'verified':
        metrics.blockVerified(effect.outcome);
        return;
      case 'distrust': {
        const { worker, reason, unproven } = effect;
        this.#quarantine.distrust(worker, reason, unproven ?? []);
        // Its place is taken from it in a moment, when this turn of the step protocol is done.
        queueMicrotask(() => membership.dismiss(worker, reason));
        return;
      }
      default:
        effect satisfies never;
    }
  }

  /** So many workers share the work now. */
  workersChanged(workers: number): void {
    const idle = this.#share > 0 && workers === 1;
    if (idle && !this.#idle) {
      const reason = 'one worker is there: train.verify compares nothing until a second one joins';
      this.#context.events.append({ event: 'verification_idle', reason });
    }
    this.#idle = idle;
  }
}
