import type { SampleDraws } from './kernel.js';
import { PHILOX_DOMAIN, type PhiloxKey, philox4x32, philoxKey } from './philox.js';

/** What `Routines.dropout` needs to know of a layer in an epoch. */
export interface DropoutMask {
  readonly key: PhiloxKey;
  /** A unit is kept when its 32 random bits are at least this. */
  readonly threshold: number;
  /** What is kept is multiplied by this, so that a unit's mean stays what it is without dropout. */
  readonly factor: number;
}

/**
 * The mask of one dropout layer in one epoch ("inverted dropout": Srivastava et al., 2014, section 10).
 *
 * The key is drawn from (seed, epoch, layer), and the mask from the key and (position of the sample in the epoch, unit):
 * no state, so a block that is computed again, elsewhere or in other pieces drops the same units.
 */
export function maskOf({ seed, epoch }: SampleDraws, layer: number, rate: number): DropoutMask {
  const counter = [epoch >>> 0, Math.floor(epoch / 2 ** 32), layer, PHILOX_DOMAIN.dropout] as const;
  const [key0, key1] = philox4x32(counter, philoxKey(seed));
  return {
    key: [key0, key1],
    threshold: Math.min(Math.round(rate * 2 ** 32), 2 ** 32 - 1),
    factor: 1 / (1 - rate),
  };
}
