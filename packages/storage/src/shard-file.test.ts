import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeShard, encodeShard } from './shard-file.js';

const content = {
  split: 'train',
  begin: 10,
  end: 13,
  features: Float32Array.of(1, 2, 3, 4, 5, 6),
  targets: Float32Array.of(0, 1, 2),
} as const;
const DATASET = { featureCount: 2, targetCount: 1 };

test('a shard comes back as it was written, without a copy unless it lies askew', () => {
  const { info, bytes } = encodeShard(4, content);
  expect(info).toMatchObject({ split: 'train', index: 4, begin: 10, end: 13, bytes: bytes.length });
  for (const offset of [0, 1, 2, 4]) {
    const memory = new Uint8Array(bytes.length + offset);
    memory.set(bytes, offset);
    const shard = decodeShard(memory.subarray(offset), info, DATASET);
    expect([shard.split, shard.begin, shard.end]).toEqual(['train', 10, 13]);
    expect([...shard.features, ...shard.targets]).toEqual([1, 2, 3, 4, 5, 6, 0, 1, 2]);
    expect(shard.features.buffer === memory.buffer).toBe(offset % 4 === 0);
  }
});

test('2,000 flipped bits and cuts of a shard are all refused', () => {
  const { info, bytes } = encodeShard(0, content);
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), fc.boolean(), (bit, cut) => {
      const damaged = Uint8Array.from(cut ? bytes.subarray(0, bit >> 3) : bytes);
      if (!cut) damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeShard(damaged, info, DATASET)).toThrow(expect.objectContaining({ code: 'DATA.SHARD' }));
    }),
    { numRuns: 2000 },
  );
});

test('a whole shard of another range, split or width is refused', () => {
  const { info, bytes } = encodeShard(0, content);
  const refused = expect.objectContaining({ code: 'DATA.SHARD' });
  expect(() => decodeShard(bytes, { ...info, begin: 11 }, DATASET)).toThrow(refused);
  expect(() => decodeShard(bytes, { ...info, split: 'test' }, DATASET)).toThrow(refused);
  expect(() => decodeShard(bytes, info, { ...DATASET, featureCount: 3 })).toThrow(refused);
  expect(() => decodeShard(bytes, info, { ...DATASET, targetCount: 2 })).toThrow(refused);
});
