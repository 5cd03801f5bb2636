import { PHILOX_DOMAIN, philox4x32, philoxKey } from './philox.js';

/**
 * The order in which an epoch visits its samples, as a function from position to sample index: a bijection of
 * [0, samples) that needs no memory per sample and can be asked for any position at once.
 *
 * A Feistel network over the next power of two, its round keys drawn by Philox from (seed, epoch); a result outside
 * [0, samples) is fed back until one is inside ("cycle walking", fewer than two turns on average, more for a handful
 * of samples). Each round changes one half by a keyed hash of the other, so a round is undone by itself,
 * whatever the hash: that is why the whole is a bijection.
 *
 * Sources: Luby and Rackoff, 1988 (the network); Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002
 * (cycle walking). Not a cipher: it has to mix, not to resist.
 * @param samples in [1, 2⁵³)
 * @returns from a position in [0, samples) to its sample index; RangeError for any other position
 */
export function samplePermutation(seed: number, epoch: number, samples: number): (position: number) => number {
  const { keys, bits } = sampleOrder(seed, epoch, samples);
  return bits <= 32 ? narrow(keys, bits, samples) : wide(keys, bits, samples);
}

/** What an epoch's order follows from. */
export interface SampleOrder {
  /** Of the power of two the network permutes. Up to 32, `Kernel.sampleIndexes` knows the same order. */
  readonly bits: number;
  /** [ORDER_KEYS] */
  readonly keys: Uint32Array;
}

/**
 * @param part 0 for the whole of an epoch; parts of it from 1 on have words of their own
 * @throws RangeError for arguments that `samplePermutation` refuses
 */
export function sampleOrder(seed: number, epoch: number, samples: number, part = 0): SampleOrder {
  if (!Number.isSafeInteger(samples) || samples < 1) {
    throw new RangeError(`samples must be a whole number of at least 1, received ${samples}`);
  }
  return { bits: Math.max(MIN_BITS, bitsToCount(samples)), keys: roundKeys(seed, epoch, part) };
}

/** Half-rounds; each takes two key words. Four already look random with an ideal hash, eight leave room for a quick one. */
const NUM_ROUNDS = 8;
/** Words of key that all rounds take. */
export const ORDER_KEYS = 2 * NUM_ROUNDS;
/** Smaller halves take too few values: at 4 bits the orders of four samples were visibly not equally likely. */
const MIN_BITS = 6;

/** Positions below 2³²: both halves are at most 16 bits, everything is 32-bit integer arithmetic. */
function narrow(keys: Uint32Array, bits: number, samples: number): (position: number) => number {
  return (position) => {
    checkPosition(position, samples);
    return narrowIndex({ keys, bits }, samples, position);
  };
}

/** The sample at a position in [0, samples) of an order of up to 32 bits. */
export function narrowIndex({ keys, bits }: SampleOrder, samples: number, position: number): number {
  const rightBits = bits >>> 1;
  const leftMask = (1 << (bits - rightBits)) - 1;
  const rightMask = (1 << rightBits) - 1;
  let value = position;
  do {
    let left = value >>> rightBits;
    let right = value & rightMask;
    for (let k = 0; k < ORDER_KEYS; k += 4) {
      left ^= mix(right, keys[k]!, keys[k + 1]!) & leftMask;
      right ^= mix(left, keys[k + 2]!, keys[k + 3]!) & rightMask;
    }
    value = ((left << rightBits) | right) >>> 0;
  } while (value >= samples);
  return value;
}

/** The same network on halves of up to 27 bits: the halves are integers, only cutting and joining takes doubles. */
function wide(keys: Uint32Array, bits: number, samples: number): (position: number) => number {
  const rightBits = bits >>> 1;
  const leftMask = (1 << (bits - rightBits)) - 1;
  const rightMask = (1 << rightBits) - 1;
  const rightSize = rightMask + 1;
  return (position) => {
    checkPosition(position, samples);
    let value = position;
    do {
      let left = Math.floor(value / rightSize);
      let right = value - left * rightSize;
      for (let k = 0; k < ORDER_KEYS; k += 4) {
        left ^= mix(right, keys[k]!, keys[k + 1]!) & leftMask;
        right ^= mix(left, keys[k + 2]!, keys[k + 3]!) & rightMask;
      }
      value = left * rightSize + right;
    } while (value >= samples);
    return value;
  };
}

/** Keyed hash of one half: two multiply-and-shift turns, each under its own key word. Odd constants of Weyl and xxHash. */
function mix(half: number, key0: number, key1: number): number {
  let hash = Math.imul(half ^ key0, 0x9e3779b1);
  hash ^= hash >>> 15;
  hash = Math.imul(hash ^ key1, 0x85ebca77);
  return hash ^ (hash >>> 16);
}

function roundKeys(seed: number, epoch: number, part: number): Uint32Array {
  if (!Number.isSafeInteger(epoch) || epoch < 0) {
    throw new RangeError(`epoch must be a whole number in [0, 2^53), received ${epoch}`);
  }
  const key = philoxKey(seed);
  const keys = new Uint32Array(ORDER_KEYS);
  const counters = keys.length / 4;
  for (let block = 0; block < counters; block++) {
    const word = part * counters + block;
    const counter = [epoch >>> 0, Math.floor(epoch / 2 ** 32), word, PHILOX_DOMAIN.samplePermutation] as const;
    keys.set(philox4x32(counter, key), 4 * block);
  }
  return keys;
}

/** Fewest bits that number `count` things. */
function bitsToCount(count: number): number {
  let bits = 0;
  for (let numbered = 1; numbered < count; numbered *= 2) bits++;
  return bits;
}

function checkPosition(position: number, samples: number): void {
  if (!(Number.isInteger(position) && position >= 0 && position < samples)) {
    throw new RangeError(`position must be a whole number in [0, ${samples}), received ${position}`);
  }
}
