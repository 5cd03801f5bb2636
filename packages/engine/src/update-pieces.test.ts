import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import type { Parameter } from '#kernel';
import { cutRanges } from './update-pieces.js';

/** Weight matrices and biases in any order and of any size. */
const parameters: fc.Arbitrary<readonly Parameter[]> = fc
  .array(fc.record({ size: fc.integer({ min: 1, max: 70 }), isMatrix: fc.boolean() }), { minLength: 1, maxLength: 8 })
  .map((list) => {
    let offset = 0;
    return list.map(({ size, isMatrix }, index) => {
      const parameter = { name: `p${index}`, shape: isMatrix ? [1, size] : [size], offset, size };
      offset += size;
      return parameter;
    });
  });

test('pieces cover every range in order, none reaches into another range, and each decays as its parameters do', () => {
  fc.assert(
    fc.property(
      parameters,
      fc.constantFrom(0, 0.1),
      fc.boolean(),
      fc.constantFrom(16, 64),
      (list, decay, apart, size) => {
        const ranges = cutRanges(list, size, decay, apart);
        let end = 0;
        let index = 0;
        for (const [range, pieces] of ranges.entries()) {
          assert.equal(end, range * size);
          for (const piece of pieces) {
            assert.equal(piece.begin, end);
            assert.ok(piece.end > piece.begin && piece.end <= (range + 1) * size);
            assert.equal(piece.index, index);
            index++;
            end = piece.end;
            const covered = list.filter(({ offset, size: own }) => offset < piece.end && offset + own > piece.begin);
            for (const { shape } of covered) assert.equal(piece.weightDecay, shape.length === 2 ? decay : 0);
            assert.ok(!apart || (covered.length === 1 && covered[0] === list[piece.parameter]));
          }
        }
        const last = list.at(-1)!;
        assert.equal(end, last.offset + last.size);
      },
    ),
  );
});

test('where nothing decays and nothing is kept apart, every range is one piece', () => {
  fc.assert(
    fc.property(parameters, (list) => {
      for (const pieces of cutRanges(list, 16, 0, false)) assert.equal(pieces.length, 1);
    }),
  );
});
