/** What an array file says of itself, and how its bytes become numbers: shared by NPY, NPZ and IDX. */
import { RopeteamError } from '#training';
import { MAX_COLUMNS } from './column-kinds.js';
import type { SourceFile } from './file-bytes.js';

export type ArrayNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** What a number of an array is on disk. */
export interface ArrayType {
  /** As the format calls it, for messages. */
  readonly name: string;
  readonly bytes: 1 | 2 | 4 | 8;
  /** Numbers in memory: the narrowest type that holds every value (64-bit whole numbers: the nearest double). */
  allocate(length: number): ArrayNumbers;
  read(view: DataView, offset: number, littleEndian: boolean): number;
}

export interface ArrayHeader {
  readonly type: ArrayType;
  readonly littleEndian: boolean;
  readonly shape: readonly number[];
  /** Where the numbers begin in the file. */
  readonly offset: number;
}

/** What the header reader needs when it has not been given enough: so many bytes from the file's beginning. */
export interface MoreBytes {
  readonly needs: number;
}

const whole = (
  name: string,
  bytes: ArrayType['bytes'],
  allocate: ArrayType['allocate'],
  read: ArrayType['read'],
): ArrayType => ({
  name,
  bytes,
  allocate,
  read,
});

export const ARRAY_TYPES = {
  bool: whole(
    'bool',
    1,
    (n) => new Uint8Array(n),
    (view, at) => Math.min(1, view.getUint8(at)),
  ),
  uint8: whole(
    'uint8',
    1,
    (n) => new Uint8Array(n),
    (view, at) => view.getUint8(at),
  ),
  int8: whole(
    'int8',
    1,
    (n) => new Int8Array(n),
    (view, at) => view.getInt8(at),
  ),
  uint16: whole(
    'uint16',
    2,
    (n) => new Uint16Array(n),
    (view, at, little) => view.getUint16(at, little),
  ),
  int16: whole(
    'int16',
    2,
    (n) => new Int16Array(n),
    (view, at, little) => view.getInt16(at, little),
  ),
  uint32: whole(
    'uint32',
    4,
    (n) => new Uint32Array(n),
    (view, at, little) => view.getUint32(at, little),
  ),
  int32: whole(
    'int32',
    4,
    (n) => new Int32Array(n),
    (view, at, little) => view.getInt32(at, little),
  ),
  uint64: whole(
    'uint64',
    8,
    (n) => new Float64Array(n),
    (view, at, little) => Number(view.getBigUint64(at, little)),
  ),
  int64: whole(
    'int64',
    8,
    (n) => new Float64Array(n),
    (view, at, little) => Number(view.getBigInt64(at, little)),
  ),
  float16: whole(
    'float16',
    2,
    (n) => new Float32Array(n),
    (view, at, little) => halfToNumber(view.getUint16(at, little)),
  ),
  float32: whole(
    'float32',
    4,
    (n) => new Float32Array(n),
    (view, at, little) => view.getFloat32(at, little),
  ),
  float64: whole(
    'float64',
    8,
    (n) => new Float64Array(n),
    (view, at, little) => view.getFloat64(at, little),
  ),
} as const satisfies Readonly<Record<string, ArrayType>>;

/** IEEE 754 binary16: sign, five bits of exponent, ten of fraction. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Numbers in one sample of an array whose first dimension counts the samples. */
export function widthOf(shape: readonly number[]): number {
  return shape.slice(1).reduce((product, size) => product * size, 1);
}

/** @throws RopeteamError DATA.FORMAT, DATA.LIMIT for a shape that cannot be samples */
export function checkShape(file: SourceFile, shape: readonly number[]): void {
  const shown = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  if (shape.length === 0)
    throw arrayError(
      file,
      'holds a single number, not an array of samples',
      'save an array of shape (samples, features)',
    );
  if (
    shape.some((size) => !Number.isSafeInteger(size) || size < 0) ||
    !Number.isSafeInteger(shape.reduce((a, b) => a * b, 8))
  ) {
    throw arrayError(
      file,
      `has the shape ${shown}: more numbers than there can be`,
      'write the file again: its header is damaged',
    );
  }
  if (shape.includes(0)) throw arrayError(file, `has the shape ${shown}: no sample in it`, 'name a file with samples');
  const width = widthOf(shape);
  if (width <= MAX_COLUMNS) return;
  throw new RopeteamError(
    'DATA.LIMIT',
    { file: file.name, limit: MAX_COLUMNS },
    `${file.name} has ${width} numbers in a sample, at most ${MAX_COLUMNS} are read`,
    {
      place: { file: file.name },
      hint: 'the first dimension counts the samples: is the array transposed?',
    },
  );
}

export function arrayError(file: SourceFile, what: string, hint: string): RopeteamError {
  return new RopeteamError('DATA.FORMAT', { file: file.name }, `${file.name} ${what}`, {
    place: { file: file.name },
    hint,
  });
}
