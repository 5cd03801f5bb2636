import { expect, test } from 'vitest';
import { type PhiloxCounter, type PhiloxKey, philox4x32, philoxKey } from './philox.js';

/** Known answers published with the Random123 library, file kat_vectors, philox4x32 10. */
const knownAnswers: readonly { counter: PhiloxCounter; key: PhiloxKey; words: readonly number[] }[] = [
  { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

test.each(knownAnswers)('philox4x32-10 gives the published words for counter $counter', ({ counter, key, words }) => {
  expect(philox4x32(counter, key)).toEqual(words);
});

test('a seed above 32 bits uses both words of the key', () => {
  expect(philoxKey(5 * 2 ** 32 + 7)).toEqual([7, 5]);
});

test.each([-1, 0.5, 2 ** 53, Number.NaN])('seed %s is refused', (seed) => {
  expect(() => philoxKey(seed)).toThrow(RangeError);
});
