/** Products by OpenBLAS against sums in double precision, in every layout a kernel asks for. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { KERNEL_RESERVED_BYTES, type Routines } from '#kernel';
import { BLAS_LIBRARY, hasBlas } from './blas.fixture.js';
import { openBlas } from './blas-library.js';
import { blasMultiply, LEAST_BLAS_TERMS } from './blas-multiply.js';
import { createSharedMemory, floatsAt } from './linear-memory.js';
import { patternedFloats } from './patterned-floats.js';

const memory = createSharedMemory(16 << 20);

const tooSmall: Routines['multiply'] = (rows, columns, _depth, ...rest) => {
  floatsAt(memory, rest[6], rows * columns).fill(-1);
};

const product = async (): Promise<Routines['multiply']> => {
  const { sgemm, addressOf } = await openBlas(BLAS_LIBRARY);
  return blasMultiply(sgemm, addressOf(memory), tooSmall);
};

interface Product {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  readonly leftTransposed: boolean;
  readonly rightTransposed: boolean;
}

const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(1, 10, 129, 300));
const products: fc.Arbitrary<Product> = fc.record({
  rows: size,
  columns: size,
  depth: fc.oneof(size, fc.constant(700)),
  leftTransposed: fc.boolean(),
  rightTransposed: fc.boolean(),
});

/** Places operands `shift` floats behind a cache line, multiplies, and gives result and operands. */
function compute(multiply: Routines['multiply'], given: Product, shift = 0) {
  const { rows, columns, depth, leftTransposed, rightTransposed } = given;
  let end = KERNEL_RESERVED_BYTES;
  const take = (count: number): Float32Array => {
    const at = end + 4 * shift;
    end = Math.ceil((at + 4 * count) / 64) * 64 + 64;
    return floatsAt(memory, at, count);
  };
  const [left, right, fenced] = [take(rows * depth), take(depth * columns), take(rows * columns + 2)] as const;
  left.set(patternedFloats(left.length, 1, 1));
  right.set(patternedFloats(right.length, 2, 1));
  fenced.fill(77);
  const [leftRow, leftColumn] = leftTransposed ? [1, rows] : [depth, 1];
  const [rightRow, rightColumn] = rightTransposed ? [1, depth] : [columns, 1];
  const into = fenced.byteOffset + 4;
  multiply(
    rows,
    columns,
    depth,
    left.byteOffset,
    leftRow,
    leftColumn,
    right.byteOffset,
    rightRow,
    rightColumn,
    into,
    columns,
    0,
  );
  const result = fenced.slice(1, -1);
  assert.deepEqual([fenced[0], fenced.at(-1)], [77, 77], 'something beyond the result was written');
  const expected = (row: number, column: number): number => {
    let sum = 0;
    for (let k = 0; k < depth; k++) {
      sum += left[row * leftRow + k * leftColumn]! * right[k * rightRow + column * rightColumn]!;
    }
    return sum;
  };
  return { result, expected };
}

describe.skipIf(!hasBlas)('a product by OpenBLAS', () => {
  test('is that of its operands, in any layout and shape, and writes nothing beside', async () => {
    const multiply = await product();
    fc.assert(
      fc.property(products, (given) => {
        const { rows, columns, depth } = given;
        fc.pre(rows * columns * depth >= LEAST_BLAS_TERMS);
        const { result, expected } = compute(multiply, given);
        for (let row = 0; row < rows; row += Math.ceil(rows / 7)) {
          for (let column = 0; column < columns; column += Math.ceil(columns / 7)) {
            const [found, wanted] = [result[row * columns + column]!, expected(row, column)];
            assert.ok(Math.abs(found - wanted) <= 1e-6 * depth, `[${row}, ${column}]: ${found}, not ${wanted}`);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  test('has the same bits wherever its operands lie', async () => {
    const multiply = await product();
    fc.assert(
      fc.property(products, fc.integer({ min: 1, max: 15 }), (given, shift) => {
        assert.deepEqual(compute(multiply, given, shift).result, compute(multiply, given).result);
      }),
      { numRuns: 60 },
    );
  });

  test('is left to WebAssembly when it is small, by its shape alone', async () => {
    const multiply = await product();
    const small = { rows: 15, columns: 13, depth: 21, leftTransposed: false, rightTransposed: true };
    assert.ok(compute(multiply, small).result.every((value) => value === -1));
    assert.ok(compute(multiply, { ...small, depth: 22 }).result.some((value) => value !== -1));
  });
});
