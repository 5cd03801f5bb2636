import { encodeState } from '#protocol';
import {
  type EncodedWeights,
  type LeaseFrame,
  type LeaseReceipt,
  leaseKey,
  problemOfLease,
  type RunState,
  type Step,
  type WorkerId,
} from '#training';
import { LeaseInbox } from './lease-inbox.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunContext } from './run-context.js';
import type { Arrival } from './uploads.js';

/** The coordinator's side of leases: sends what they begin with, receives, checks and adopts what they leave behind. */
export class LeaseDesk {
  readonly #context: RunContext;
  readonly #prepared: PreparedRun;
  readonly #inbox: LeaseInbox;
  readonly #arrivals = new Map<string, Arrival>();
  #sent: EncodedWeights | undefined;

  constructor(context: RunContext, prepared: PreparedRun) {
    this.#context = context;
    this.#prepared = prepared;
    this.#inbox = new LeaseInbox(prepared.engine);
  }

  accept(state: RunState, worker: WorkerId, frame: LeaseFrame): void {
    this.#inbox.accept(state, worker, frame);
  }

  /** Whether a receipt may be told to the step protocol: what it speaks of lies here complete, or is not needed. */
  received(state: RunState, receipt: LeaseReceipt): boolean {
    const arrival = this.#inbox.complete(state, receipt);
    const key = leaseKey(receipt.step, receipt.end);
    const held = state.items.get(key);
    if (held === undefined || held.receipt !== undefined) return true;
    if (arrival === undefined) return false;
    this.#arrivals.set(key, arrival);
    return true;
  }

  forget(worker: WorkerId): void {
    this.#inbox.forget(worker);
  }

  /** When the frames of a lease that is to be adopted came in. */
  arrivalOf({ step, end }: LeaseReceipt): Arrival | undefined {
    const key = leaseKey(step, end);
    const arrival = this.#arrivals.get(key);
    this.#arrivals.delete(key);
    return arrival;
  }

  /**
   * Makes a lease's result the run's weights and optimizer state, if it is what its receipt says and began with the run's
   * own weights.
   * @param currentHash of the run's weights; undefined before the first step
   */
  async adopt(receipt: LeaseReceipt, currentHash: string | undefined): Promise<'accepted' | 'refused'> {
    const { startHash, steps } = receipt;
    const problem = problemOfLease(receipt);
    const begins = currentHash === undefined || currentHash === startHash;
    const weightsHash = steps.findLast(({ finite }) => finite)?.weightsHash ?? startHash;
    const holds =
      problem === undefined &&
      begins &&
      (await this.#prepared.engine.adopt({ place: this.#inbox.placeOf(receipt), weightsHash }));
    if (holds) return 'accepted';
    const why = problem ?? (begins ? 'its weights are not those of its last record' : 'it began with other weights');
    this.#context.metrics.itemFailed('refused');
    this.#context.log.error('lease_refused', { worker: receipt.worker, step: receipt.step, why });
    return 'refused';
  }

  /** Weights and optimizer state of the current version, encoded once. */
  encodedState(version: Step): EncodedWeights {
    if (this.#sent?.version === version) return this.#sent;
    const { shape, engine } = this.#prepared;
    const { run, fence } = shape;
    const encoded = encodeState({ run, fence, version }, engine.weights, engine.optimizerState);
    this.#sent = encoded;
    return encoded;
  }
}
