/** The header of NumPy's `.npy`, versions 1 to 3: numpy.org/doc/stable/reference/generated/numpy.lib.format.html. */
import { ARRAY_TYPES, type ArrayHeader, type ArrayType, arrayError, type MoreBytes } from './array-header.js';
import type { SourceFile } from './file-bytes.js';

const MAGIC = '\x93NUMPY';
/** NumPy itself writes a few hundred bytes; only records of very many fields have more. */
const MAX_HEADER_BYTES = 1 << 16;

const TYPES: Readonly<Record<string, ArrayType>> = {
  b1: ARRAY_TYPES.bool,
  u1: ARRAY_TYPES.uint8,
  i1: ARRAY_TYPES.int8,
  u2: ARRAY_TYPES.uint16,
  i2: ARRAY_TYPES.int16,
  u4: ARRAY_TYPES.uint32,
  i4: ARRAY_TYPES.int32,
  u8: ARRAY_TYPES.uint64,
  i8: ARRAY_TYPES.int64,
  f2: ARRAY_TYPES.float16,
  f4: ARRAY_TYPES.float32,
  f8: ARRAY_TYPES.float64,
};

/** @throws RopeteamError DATA.FORMAT when it is no NPY file, or one of objects, records, texts or Fortran order */
export function readNpyHeader(file: SourceFile, bytes: Buffer): ArrayHeader | MoreBytes {
  if (bytes.length < 10) return { needs: 10 };
  if (bytes.toString('latin1', 0, 6) !== MAGIC) {
    throw arrayError(
      file,
      'is not an NPY file: it does not begin with \\x93NUMPY',
      'write it with numpy.save, or set data.format',
    );
  }
  const major = bytes[6]!;
  if (major < 1 || major > 3)
    throw arrayError(file, `is NPY of version ${major}, which is not known`, 'write it with numpy.save');
  const begin = major === 1 ? 10 : 12;
  if (bytes.length < begin) return { needs: begin };
  const length = major === 1 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  if (length > MAX_HEADER_BYTES) {
    throw arrayError(
      file,
      `has a header of ${length} bytes, at most ${MAX_HEADER_BYTES} are read`,
      'write it with numpy.save',
    );
  }
  if (bytes.length < begin + length) return { needs: begin + length };
  return { ...parseDictionary(file, bytes.toString('latin1', begin, begin + length)), offset: begin + length };
}

/** A Python dictionary such as `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`, matched and never evaluated. */
function parseDictionary(file: SourceFile, text: string): Omit<ArrayHeader, 'offset'> {
  const description = /'descr':\s*(?:'([^']{1,40})'|(\[))/.exec(text);
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d\s,L]*)\)/.exec(text)?.[1];
  if (description === null || order === undefined || shape === undefined) {
    throw arrayError(file, 'has a damaged NPY header', 'write it again with numpy.save');
  }
  const [, code = '', list] = description;
  const type = TYPES[code.replace(/^[<>|=]/, '')];
  if (/O/.test(code)) {
    throw arrayError(
      file,
      'holds Python objects: reading them would run code, so they never are',
      'save numbers: array.astype("float32")',
    );
  }
  if (list !== undefined || type === undefined) {
    const what = list === undefined ? `values of the type ${JSON.stringify(code)}` : 'records of several fields';
    throw arrayError(
      file,
      `holds ${what}, not numbers`,
      'save numbers: array.astype("float32"), and labels as whole numbers',
    );
  }
  const sizes = shape.split(',').map((size) => size.replace('L', '').trim());
  const numbers = sizes.filter((size) => size !== '').map(Number);
  if (order === 'True' && numbers.length > 1) {
    throw arrayError(
      file,
      'is in Fortran order, column after column',
      'save it row after row: numpy.save(file, numpy.ascontiguousarray(array))',
    );
  }
  return { type, littleEndian: !code.startsWith('>'), shape: numbers };
}
