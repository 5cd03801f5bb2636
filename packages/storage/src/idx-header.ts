/** The header of IDX, the format of MNIST: two zeros, a type, the number of dimensions, their sizes; all big-endian. */
import { ARRAY_TYPES, type ArrayHeader, type ArrayType, arrayError, type MoreBytes } from './array-header.js';
import type { SourceFile } from './file-bytes.js';

const TYPES: ReadonlyMap<number, ArrayType> = new Map<number, ArrayType>([
  [0x08, ARRAY_TYPES.uint8],
  [0x09, ARRAY_TYPES.int8],
  [0x0b, ARRAY_TYPES.int16],
  [0x0c, ARRAY_TYPES.int32],
  [0x0d, ARRAY_TYPES.float32],
  [0x0e, ARRAY_TYPES.float64],
]);

/** @throws RopeteamError DATA.FORMAT when it is no IDX file */
export function readIdxHeader(file: SourceFile, bytes: Buffer): ArrayHeader | MoreBytes {
  if (bytes.length < 4) return { needs: 4 };
  const type = TYPES.get(bytes[2]!);
  const dimensions = bytes[3]!;
  if (bytes[0] !== 0 || bytes[1] !== 0 || type === undefined || dimensions < 1 || dimensions > 8) {
    const magic = bytes.subarray(0, 4).toString('hex');
    throw arrayError(
      file,
      `is not an IDX file: it begins with ${magic}, images do with 00000803 and labels with 00000801`,
      'name another file, or set data.format',
    );
  }
  const offset = 4 + 4 * dimensions;
  if (bytes.length < offset) return { needs: offset };
  const shape = Array.from({ length: dimensions }, (_, index) => bytes.readUInt32BE(4 + 4 * index));
  return { type, littleEndian: false, shape, offset };
}
