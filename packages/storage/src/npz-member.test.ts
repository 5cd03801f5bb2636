import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type DataSpec, RopeteamError } from '#training';
import { readNpyHeader } from './npy-header.js';
import { prepareDataset } from './prepare-dataset.js';
import type { PreparedDataset } from './prepared-dataset.js';
import { readArray } from './read-array.js';
import { resolveInside } from './resolve-inside.js';
import { decodeShard } from './shard-file.js';
import { sourceNames } from './source-files.js';

/** What numpy 2.4 wrote: x_train = arange(12) as float32, 6 × 2; y_train = 0, 1, 0, …; x_test = ones, 2 × 2; y_test = 1, 0. */
const DEFLATED = Buffer.from(
  'UEsDBC0AAAAIAAAAIQCrngsW//////////8LABQAeF90cmFpbi5ucHkBABAAsAAAAAAAAABmAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TZqKuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GmY6CkaaOgq1CmQDLgYwaLAHEg5ABMQNQLwAiA8A8QMgZnBkYBAAYgUgNnAEAFBLAwQtAAAACAAAACEAFy2zi///////////CwAUAHlfdHJhaW4ubnB5AQAQALAAAAAAAAAATAAAAAAAAACb7BfqGxDJyFDGUK2eklqcXKRupaBuk2mhrqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RpmOpo6CrUKFAAuBihgZEAFuPgAUEsDBC0AAAAIAAAAIQBM++8W//////////8KABQAeF90ZXN0Lm5weQEAEACQAAAAAAAAAEwAAAAAAAAAm+wX6hsQychQxlCtnpJanFykbqWgbpNmoq6joJ6WX1RSlJgXn1+UkgoSd0vMKU4FihdnJBakAvkaRjoKRpo6CrUKZAMuBoYGe2QMAFBLAwQtAAAACAAAACEAcfs5q///////////CgAUAHlfdGVzdC5ucHkBABAAkAAAAAAAAABIAAAAAAAAAJvsF+obEMnIUMZQrZ6SWpxcpG6loG6TaaGuo6Cell9UUpSYF59flJIKEndLzClOBYoXZyQWpAL5GkY6mjoKtQoUAC5GBlQAAFBLAQItAy0AAAAIAAAAIQCrngsWZgAAALAAAAALAAAAAAAAAAAAAACAAQAAAAB4X3RyYWluLm5weVBLAQItAy0AAAAIAAAAIQAXLbOLTAAAALAAAAALAAAAAAAAAAAAAACAAaMAAAB5X3RyYWluLm5weVBLAQItAy0AAAAIAAAAIQBM++8WTAAAAJAAAAAKAAAAAAAAAAAAAACAASwBAAB4X3Rlc3QubnB5UEsBAi0DLQAAAAgAAAAhAHH7OatIAAAAkAAAAAoAAAAAAAAAAAAAAIABtAEAAHlfdGVzdC5ucHlQSwUGAAAAAAQABADiAAAAOAIAAAAA',
  'base64',
);

let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-npz-'));
});
afterEach(() => rm(root, { recursive: true }));

interface Member {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What the archive says, where that is not so. */
  readonly says?: { readonly size?: number; readonly crc?: number; readonly method?: number; readonly flags?: number };
}

/** A Zip archive, deflated: pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, 4.3. */
function zip(members: readonly Member[], count = members.length): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, bytes, says = {} } of members) {
    const packed = deflateRawSync(bytes);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(says.flags ?? 0, 2);
    common.writeUInt16LE(says.method ?? 8, 4);
    common.writeUInt32LE(says.crc ?? crc32(bytes), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(says.size ?? bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    directory.push(Buffer.from('PK\x01\x02\x14\0', 'latin1'), common, rest, Buffer.from(name));
    files.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...files, central, Buffer.from('PK\x05\x06'), end]);
}

const npy = (values: readonly number[]): Buffer => {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${values.length},), }`.padEnd(117);
  return Buffer.concat([Buffer.from('\x93NUMPY\x01\0\x76\0', 'latin1'), Buffer.from(`${text}\n`), Buffer.from(values)]);
};

async function read(content: Uint8Array, name: string): Promise<readonly number[]> {
  const path = join(root, 'a.npz');
  await writeFile(path, content);
  const array = await readArray({ name, path }, { readHeader: readNpyHeader });
  return Array.from({ length: array.rows * array.width }, (_, n) =>
    array.at(Math.floor(n / array.width), n % array.width),
  );
}

async function failure(content: Uint8Array, name = 'a.npz#x'): Promise<RopeteamError> {
  const error = await read(content, name).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof RopeteamError) return error;
  throw new Error(`expected a RopeteamError, got ${String(error)}`);
}

const SPEC: DataSpec = {
  source: 'mnist.npz#x_train',
  labels: 'mnist.npz#y_train.npy',
  delimiter: 'auto',
  target: ['digit'],
  features: 'all',
  scale: 'none',
  scaleTarget: 'none',
  task: 'regression',
  split: {
    validation: { kind: 'fraction', fraction: 0 },
    test: { kind: 'file', path: 'mnist.npz#x_test', labels: 'mnist.npz#y_test' },
  },
  badRows: 'error',
  maxBadRows: 0,
  missing: 'error',
  maxCategories: 64,
};

async function numbersOf({ info, readShard }: PreparedDataset, split: string): Promise<readonly number[][]> {
  const shard = info.shards.find((one) => one.split === split)!;
  const { features, targets } = decodeShard(await readShard(shard.split, shard.index), shard, info);
  return [[...features], [...targets]];
}

test('members of an archive that numpy wrote are samples and labels of both splits', async () => {
  await writeFile(join(root, 'mnist.npz'), DEFLATED);
  const resolve = (path: string): Promise<string> => resolveInside(root, path);
  const dataset = await prepareDataset({ spec: SPEC, seed: 1, resolve, directory: join(root, 'out') });
  expect(await numbersOf(dataset, 'train')).toEqual([Array.from({ length: 12 }, (_, n) => n), [0, 1, 0, 1, 0, 1]]);
  expect(await numbersOf(dataset, 'test')).toEqual([
    [1, 1, 1, 1],
    [1, 0],
  ]);
  expect(sourceNames(SPEC)).toEqual(['mnist.npz']);
});

test('a member need not be named where it is the only array', async () => {
  const members = [{ name: 'arr_0.npy', bytes: npy([1, 2, 3]) }];
  expect(await read(zip(members), 'a.npz')).toEqual([1, 2, 3]);
  expect(await read(zip([...members, { name: 'note.txt', bytes: Buffer.from('a') }]), 'a.npz')).toEqual([1, 2, 3]);
  const error = await failure(DEFLATED, 'a.npz');
  expect(error.message).toBe('a.npz holds several arrays: x_train, y_train, x_test, y_test');
  expect(error.hint).toBe('name one of them: a.npz#x_train');
});

test.each<readonly [string, Uint8Array, string, RegExp]>([
  ['a member that is not there', DEFLATED, 'DATA.FORMAT', /^a\.npz#x is not there: a\.npz holds x_train, y_train/],
  ['no archive', Buffer.from('a,b\n1,2\n'.repeat(9)), 'DATA.FORMAT', /cannot be read as NPZ: /],
  ['an archive cut off', DEFLATED.subarray(0, -100), 'DATA.FORMAT', /cannot be read as NPZ: /],
  ['nothing', new Uint8Array(0), 'DATA.FILE', /is empty/],
  ['an archive without arrays', zip([{ name: 'x.txt', bytes: npy([1]) }]), 'DATA.FORMAT', /holds no array/],
  ['a member that is no NPY', zip([{ name: 'x.npy', bytes: Buffer.alloc(99, 'a') }]), 'DATA.FORMAT', /a\.npz#x /],
  [
    'a wrong checksum',
    zip([{ name: 'x.npy', bytes: npy([1]), says: { crc: 7 } }]),
    'DATA.FORMAT',
    /NPZ: its checksum is wrong/,
  ],
  ['a size too small', zip([{ name: 'x.npy', bytes: npy([1]), says: { size: 9 } }]), 'DATA.FORMAT', /too many bytes/],
  [
    'a size too large',
    zip([{ name: 'x.npy', bytes: npy([1]), says: { size: 999 } }]),
    'DATA.FORMAT',
    /not enough bytes/,
  ],
  ['an encrypted member', zip([{ name: 'x.npy', bytes: npy([1]), says: { flags: 1 } }]), 'DATA.FORMAT', /is encrypted/],
  [
    'another method',
    zip([{ name: 'x.npy', bytes: npy([1]), says: { method: 12 } }]),
    'DATA.FORMAT',
    /a method that is not read/,
  ],
  ['a bomb', zip([{ name: 'x.npy', bytes: Buffer.alloc(1 << 25) }]), 'DATA.LIMIT', /more than 200 times its size/],
  [
    'very many members',
    zip([{ name: 'x.npy', bytes: npy([1]) }], 10_001),
    'DATA.LIMIT',
    /has 10001 members, at most 10000/,
  ],
])('%s is refused', async (_, content, code, message) => {
  const error = await failure(content);
  expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
});

test('whatever bytes of an archive are damaged, the answer is its numbers or an error for its user', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(DEFLATED.length - 1), fc.nat(255), async (at, byte) => {
      const content = Buffer.from(DEFLATED);
      content[at] = byte;
      const numbers = await read(content, 'a.npz#x_train').catch((error: unknown) => {
        expect(error).toBeInstanceOf(RopeteamError);
        return undefined;
      });
      if (numbers !== undefined) expect(numbers).toEqual(Array.from({ length: 12 }, (_, n) => n));
    }),
    { numRuns: 300 },
  );
});
