import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyBytes } from './shared-copy.js';

test('bytes arrive whole between private and shared memory at any addresses, and nothing beside them changes', () => {
  const memory = fc.boolean().map((shared) => (shared ? new SharedArrayBuffer(3_000_100) : new ArrayBuffer(3_000_100)));
  const place = fc.integer({ min: 0, max: 70 });
  const length = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.constantFrom(1 << 20, (1 << 20) + 13, 2_500_001));
  fc.assert(
    fc.property(memory, memory, place, place, length, (from, to, begin, at, count) => {
      const source = new Uint8Array(from, begin, count);
      for (let index = 0; index < count; index += 97) source[index] = index % 251;
      const target = new Uint8Array(to).fill(7);
      copyBytes(target, at, source);
      expect(Buffer.compare(target.slice(at, at + count), source.slice())).toBe(0);
      expect(target.subarray(0, at).every((byte) => byte === 7)).toBe(true);
      expect(target[at + count]).toBe(7);
    }),
    { numRuns: 60 },
  );
});

test('a copy beyond the end is refused and changes nothing', () => {
  const target = new Uint8Array(8);
  expect(() => copyBytes(target, 5, Uint8Array.of(1, 2, 3, 4))).toThrow('4 bytes at 5 do not fit into 8');
  expect(target).toEqual(new Uint8Array(8));
});
