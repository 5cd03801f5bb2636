import { encodeWeights } from '#protocol';
import { type EncodedWeights, failpoint, type Step } from '#training';
import type { Member } from './membership.js';
import type { PreparedRun } from './prepare-run.js';

/** The version of the weights that workers compute with: encoded once, the same frames for all. */
export class PublishedWeights {
  readonly #prepared: Pick<PreparedRun, 'shape' | 'engine'>;
  #frames: EncodedWeights | undefined;

  constructor(prepared: Pick<PreparedRun, 'shape' | 'engine'>) {
    this.#prepared = prepared;
  }

  /** Undefined before the first version is out. */
  get frames(): EncodedWeights | undefined {
    return this.#frames;
  }

  publish(version: Step, members: readonly Member[]): void {
    const { run, fence } = this.#prepared.shape;
    this.#frames = undefined; // frames no stream waits for may go while the next version's are made: that halves the peak
    const encoded = encodeWeights({ run, fence, version }, this.#prepared.engine.wireWeights);
    this.#frames = encoded;
    failpoint('before-broadcast');
    for (const { session } of members) {
      session.sendWeights(encoded);
      failpoint('mid-broadcast');
    }
  }
}
