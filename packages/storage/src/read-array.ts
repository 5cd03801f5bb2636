/** An array file in memory, in blocks of whole samples: memory grows with what has been read, never with what a header says. */
import { setImmediate } from 'node:timers/promises';
import { formatOfName, type RopeteamError } from '#training';
import {
  ARRAY_TYPES,
  type ArrayHeader,
  type ArrayNumbers,
  arrayError,
  checkShape,
  type MoreBytes,
  widthOf,
} from './array-header.js';
import { type BlockSpace, openBlockSpace } from './block-store.js';
import { type BytesOptions, readBytes, type SourceFile } from './file-bytes.js';
import { readMember } from './npz-member.js';

/** Samples of one array; each is a row of `width` numbers. */
export interface LoadedArray {
  readonly file: SourceFile;
  readonly shape: readonly number[];
  readonly rows: number;
  readonly width: number;
  /** NaN for a missing number; infinities as they are. */
  at(row: number, column: number): number;
}

export interface ArrayOptions extends BytesOptions {
  /** Where the numbers go; absent: they stay in memory. */
  readonly space?: BlockSpace;
  readHeader(file: SourceFile, bytes: Buffer): ArrayHeader | MoreBytes;
  onProgress?(rows: number): void;
}

const BLOCK_NUMBERS = 1 << 18;

/**
 * Reads a whole array, plain, gzipped or a member of an archive.
 * @throws RopeteamError DATA.FORMAT (no such file, too short, too long), DATA.LIMIT, and what `readBytes` throws
 */
export async function readArray(file: SourceFile, options: ArrayOptions): Promise<LoadedArray> {
  let begun: Buffer = Buffer.alloc(0);
  let needs = 1;
  let sink: ArraySink | undefined;
  const bytes = formatOfName(file.name) === 'npz' ? readMember(file, options) : readBytes(file, options);
  for await (const chunk of bytes) {
    if (sink !== undefined) {
      sink.write(chunk);
    } else {
      begun = Buffer.concat([begun, chunk]);
      while (sink === undefined && begun.length >= needs) {
        const header = options.readHeader(file, begun);
        if ('needs' in header) {
          needs = header.needs;
        } else {
          checkShape(file, header.shape);
          sink = arraySink(file, header, options.space ?? openBlockSpace(undefined));
          sink.write(begun.subarray(header.offset));
        }
      }
    }
    if (sink !== undefined) options.onProgress?.(sink.rows);
    await setImmediate();
  }
  if (sink === undefined)
    throw arrayError(file, `ends within its header, after ${begun.length} bytes`, 'copy or download the file again');
  return sink.finish();
}

interface ArraySink {
  /** Whole samples so far. */
  readonly rows: number;
  write(bytes: Buffer): void;
  finish(): LoadedArray;
}

function arraySink(file: SourceFile, header: ArrayHeader, space: BlockSpace): ArraySink {
  const { type, littleEndian, shape } = header;
  const width = widthOf(shape);
  const total = shape[0]! * width;
  const shift = Math.max(0, Math.floor(Math.log2(BLOCK_NUMBERS / width)));
  const blockLength = width << shift;
  const blocks = space.open((length) => type.allocate(length));
  let block: ArrayNumbers = type.allocate(0);
  let filled = 0;
  let rest: Buffer = Buffer.alloc(0);

  const decode = (bytes: Buffer, numbers: number): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let taken = 0; taken < numbers; ) {
      const at = filled % blockLength;
      if (at === 0) block = type.allocate(Math.min(blockLength, total - filled));
      const count = Math.min(block.length - at, numbers - taken);
      if (type === ARRAY_TYPES.uint8) block.set(bytes.subarray(taken, taken + count), at);
      else for (let n = 0; n < count; n++) block[at + n] = type.read(view, (taken + n) * type.bytes, littleEndian);
      taken += count;
      filled += count;
      if (at + count === block.length) blocks.push(block);
    }
  };

  return {
    get rows() {
      return Math.floor(filled / width);
    },
    write(bytes) {
      const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
      const numbers = Math.floor(all.length / type.bytes);
      if (filled + numbers > total || (filled + numbers === total && all.length > numbers * type.bytes)) {
        throw wrongLength(file, header, 'more');
      }
      decode(all, numbers);
      rest = all.subarray(numbers * type.bytes);
    },
    finish() {
      if (filled < total) throw wrongLength(file, header, `${filled * type.bytes + rest.length} bytes`);
      const mask = (1 << shift) - 1;
      return {
        file,
        shape,
        rows: shape[0]!,
        width,
        at: (row, column) => blocks.get(row >>> shift)[(row & mask) * width + column]!,
      };
    },
  };
}

function wrongLength(file: SourceFile, { type, shape }: ArrayHeader, found: string): RopeteamError {
  const expected = shape.reduce((product, size) => product * size, type.bytes);
  const what = `says it holds ${shape.join(' × ')} numbers of ${type.name}, ${expected} bytes, but there are ${found}`;
  return arrayError(file, what, 'copy or download the file again');
}
