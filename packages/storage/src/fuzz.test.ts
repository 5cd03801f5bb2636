/**
 * Files nobody meant to write: whatever the bytes, a reader either reads them or refuses them by an error of ours, soon and
 * in bounded memory. `ROPETEAM_TEST_FUZZ_RUNS=20000` looks for longer; a failure prints the seed that repeats it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DataSpec, RopeteamError } from '#training';
import { prepareDataset } from './prepare-dataset.js';
import { decodeSafetensors, encodeSafetensors } from './safetensors.js';

const RUNS = Number(process.env.ROPETEAM_TEST_FUZZ_RUNS ?? 150);
/** So long a single file may take at the most; those here take a few milliseconds. */
const DEADLINE_MS = 60_000 + 100 * RUNS;
/** What reading them may add to memory: the files have a few hundred bytes, whatever their headers say. */
const MOST_BYTES = 256 * 2 ** 20;

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'ropeteam-fuzz-'));
});
afterAll(() => rm(root, { recursive: true }));

/** A change to some bytes: one flipped, a piece cut out, a piece doubled, something put in. */
const change = fc.oneof(
  fc.record({ kind: fc.constant('set' as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ kind: fc.constant('double' as const), at: fc.nat(), length: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constant('insert' as const),
    at: fc.nat(),
    bytes: fc.oneof(
      fc.uint8Array({ maxLength: 8 }),
      fc
        .constantFrom('"', '\n', ',', '{', '[[[[[[', '1e999', '-1', '18446744073709551616', '\u0000', '__proto__', '😀')
        .map((text) => new TextEncoder().encode(text)),
    ),
  }),
  fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
);

const changes = fc.array(change, { minLength: 1, maxLength: 6 });
type Change = typeof change extends fc.Arbitrary<infer Value> ? Value : never;

function changed(bytes: Uint8Array, list: readonly Change[]): Uint8Array {
  let now = Buffer.from(bytes);
  for (const each of list) {
    const at = each.at % (now.length + 1);
    if (each.kind === 'set') now = Buffer.concat([now.subarray(0, at), Buffer.of(each.byte), now.subarray(at + 1)]);
    else if (each.kind === 'cut') now = Buffer.concat([now.subarray(0, at), now.subarray(at + each.length)]);
    else if (each.kind === 'double') now = Buffer.concat([now.subarray(0, at + each.length), now.subarray(at)]);
    else if (each.kind === 'insert') now = Buffer.concat([now.subarray(0, at), each.bytes, now.subarray(at)]);
    else now = now.subarray(0, at);
  }
  return now;
}

const SPEC: DataSpec = {
  source: '',
  delimiter: 'auto',
  target: ['y'],
  features: 'all',
  scale: 'standard',
  scaleTarget: 'none',
  split: { validation: { kind: 'fraction', fraction: 0.2 }, test: { kind: 'fraction', fraction: 0 } },
  badRows: 'error',
  maxBadRows: 3,
  missing: 'mean',
  maxCategories: 8,
};

/** Reads a file as training would. Whatever else than an error of ours comes of it fails the test. */
async function read(name: string, content: Uint8Array, spec: Partial<DataSpec>): Promise<'read' | 'refused'> {
  await writeFile(join(root, name), content);
  const before = process.memoryUsage().rss;
  try {
    const { info } = await prepareDataset({
      spec: { ...SPEC, ...spec, source: name },
      seed: 7,
      resolve: (path) => join(root, path),
      directory: join(root, 'out'),
    });
    expect(info.samples.train).toBeGreaterThan(1);
    return 'read';
  } catch (error) {
    if (!(error instanceof RopeteamError)) throw error;
    expect(error.code).toMatch(/^(DATA|CONFIG)\./);
    expect(error.message.length).toBeLessThan(20_000);
    return 'refused';
  } finally {
    expect(process.memoryUsage().rss - before).toBeLessThan(MOST_BYTES);
  }
}

const table = Array.from({ length: 30 }, (_, row) => ({ x: row / 4, word: `w${row % 3}`, z: -row, y: row % 2 }));
const csv = `x,word,z,y\n${table.map(({ x, word, z, y }) => `${x},"${word}",${z},${y}\n`).join('')}`;
const jsonLines = table.map((row) => `${JSON.stringify(row)}\n`).join('');

function npy(): Uint8Array {
  const text = "{'descr': '<f4', 'fortran_order': False, 'shape': (30, 3), }";
  const header = Buffer.from(`${text}${' '.repeat(63 - ((10 + text.length) % 64))}\n`, 'latin1');
  const begin = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0]);
  return Buffer.concat([begin, header, Buffer.from(Float32Array.from({ length: 90 }, (_, n) => n).buffer)]);
}

const idx = (dimensions: readonly number[], bytes: number): Uint8Array => {
  const sizes = Buffer.alloc(4 * dimensions.length);
  for (const [index, size] of dimensions.entries()) sizes.writeUInt32BE(size, 4 * index);
  const values = Buffer.from(Array.from({ length: bytes }, (_, n) => n % 2));
  return Buffer.concat([Buffer.of(0, 0, 8, dimensions.length), sizes, values]);
};

test.each([
  ['rows.csv', new TextEncoder().encode(csv), {}],
  ['rows.csv.gz', gzipSync(csv), {}],
  ['skipped.csv', new TextEncoder().encode(csv), { badRows: 'skip' }],
  ['rows.jsonl', new TextEncoder().encode(jsonLines), {}],
  ['rows.npy', npy(), { labels: 'labels.idx' }],
  ['rows-images-idx3-ubyte', idx([30, 2, 2], 120), { labels: 'labels.idx' }],
  ['rows-images-idx3-ubyte.gz', gzipSync(idx([30, 2, 2], 120)), { labels: 'labels.idx' }],
] as const)(
  '%s with bytes changed at random is read or refused, and nothing else',
  async (name, content, spec) => {
    await writeFile(join(root, 'labels.idx'), idx([30], 30));
    expect(await read(name, content, spec)).toBe('read');
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(changes, async (list) => {
        if ((await read(name, changed(content, list), spec)) === 'refused') refused++;
      }),
      { numRuns: RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  },
  DEADLINE_MS,
);

test(
  'safetensors with bytes changed at random are read or refused, and nothing else',
  () => {
    const data = new Uint8Array(Float32Array.of(1, 2, 3, 4, 5, 6).buffer);
    const tensors = [
      { name: 'layers.0.weight', dtype: 'F32', shape: [2, 2], data: data.subarray(0, 16) },
      { name: 'layers.0.bias', dtype: 'F32', shape: [2], data: data.subarray(16) },
    ] as const;
    const parts = encodeSafetensors(tensors, new Map([['format', 'pt']]));
    const whole = Buffer.concat(Array.isArray(parts) ? parts : [parts]);
    expect(decodeSafetensors(whole, 'f').tensors.size).toBe(2);
    let refused = 0;
    fc.assert(
      fc.property(changes, (list) => {
        try {
          const { tensors: found } = decodeSafetensors(changed(whole, list), 'f.safetensors');
          for (const [, tensor] of found) expect(tensor.data.byteLength).toBeLessThanOrEqual(whole.length + 200);
        } catch (error) {
          if (!(error instanceof RopeteamError)) throw error;
          refused++;
        }
      }),
      { numRuns: 10 * RUNS },
    );
    expect(refused).toBeGreaterThan(0);
  },
  DEADLINE_MS,
);
