import { expect, test } from 'vitest';
import { xxh64 } from './xxh64.js';

const ascii = (text: string) => new TextEncoder().encode(text);

/** Published answers for seed 0, from the test suites of xxHash and its ports. */
test.each<[string, bigint]>([
  ['', 0xef46db3751d8e999n],
  ['a', 0xd24ec4f1a98c6e5bn],
  ['abc', 0x44bc2cf5ad770999n],
  ['Nobody inspects the spammish repetition', 0xfbcea83c8a378bf1n],
  ['The quick brown fox jumps over the lazy dog', 0x0b242d361fda71bcn],
])('the hash of "%s" is the published one', (text, expected) => {
  expect(xxh64(ascii(text))).toBe(expected);
});

test('the hash reads its bytes where they lie and nothing beside them', () => {
  const bytes = new Uint8Array(101).fill(7);
  bytes.set(ascii('The quick brown fox jumps over the lazy dog'), 13);
  expect(xxh64(bytes.subarray(13, 56))).toBe(0x0b242d361fda71bcn);
});
