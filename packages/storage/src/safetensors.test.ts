import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bytesOf, decodeSafetensors, encodeSafetensors, float32Of, type NamedTensor } from './safetensors.js';

const tensor = fc
  .tuple(fc.string({ minLength: 1, maxLength: 12 }), fc.array(fc.nat(4), { maxLength: 3 }), fc.maxSafeNat())
  .map(([name, shape, seed]): NamedTensor => {
    const size = shape.reduce((product, length) => product * length, 1);
    return {
      name,
      dtype: 'F32',
      shape,
      data: bytesOf(Float32Array.from({ length: size }, (_, i) => Math.sin(seed + i))),
    };
  });
const file = fc.tuple(
  fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 6 }),
  fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 20 })),
);

/** A file with this header and `dataBytes` bytes behind it. */
function withHeader(json: string, dataBytes = 0, claimed = json.length): Uint8Array {
  const header = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + header.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(claimed), true);
  bytes.set(header, 8);
  return bytes;
}

const entry = (begin: number, end: number, shape: number[] = [(end - begin) / 4]): string =>
  JSON.stringify({ dtype: 'F32', shape, data_offsets: [begin, end] });

test('what was written is what is read, names and metadata included', () => {
  fc.assert(
    fc.property(file, ([tensors, metadata]) => {
      fc.pre(tensors.every(({ name }) => name !== '__metadata__'));
      const entries = new Map(Object.entries(metadata));
      const read = decodeSafetensors(encodeSafetensors(tensors, entries), 'x');
      expect(new Map(read.metadata)).toEqual(entries);
      expect(new Set(read.tensors.keys())).toEqual(new Set(tensors.map(({ name }) => name)));
      for (const { name, shape, data } of tensors) {
        expect(read.tensors.get(name)?.shape).toEqual(shape);
        expect([...(read.tensors.get(name)?.data ?? [])]).toEqual([...data]);
      }
    }),
    { numRuns: 300 },
  );
});

test('tensors begin at a multiple of 8 and floats survive an unaligned read', () => {
  const data = bytesOf(Float32Array.of(1.5, -0, 3e-45));
  const bytes = encodeSafetensors([{ name: 'a', dtype: 'F32', shape: [3], data }], new Map());
  expect(decodeSafetensors(bytes, 'x').headerBytes % 8).toBe(0);
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  expect([...float32Of(decodeSafetensors(shifted.subarray(1), 'x').tensors.get('a')!)]).toEqual([
    1.5,
    -0,
    1.401298464324817e-45 * 2,
  ]);
});

test.each([
  ['nothing', new Uint8Array(0), /has 0 bytes/],
  ['a header longer than the file', withHeader('{}', 0, 500), /claims 500 bytes/],
  ['a header over 100 MB', withHeader('{}', 0, 100_000_001), /limit is 100000000/],
  ['a header that is no object', withHeader('[]'), /does not begin with/],
  ['a header that is no JSON', withHeader('{"a"'), /not JSON/],
  ['a tensor twice', withHeader(`{"a":${entry(0, 4)},"a":${entry(0, 4)}}`, 4), /occurs twice/],
  ['metadata twice', withHeader('{"__metadata__":{"a":"1","a":"2"}}'), /occurs twice/],
  ['metadata that is no string', withHeader('{"__metadata__":{"a":1}}'), /not a string/],
  ['overlapping tensors', withHeader(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12), /overlaps/],
  ['a hole', withHeader(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12), /hole/],
  ['an offset past the end', withHeader(`{"a":${entry(0, 8)}}`, 4), /4 bytes past the end/],
  ['bytes after the last tensor', withHeader(`{"a":${entry(0, 4)}}`, 9), /5 bytes follow/],
  ['a shape that does not fill the bytes', withHeader(`{"a":${entry(0, 8, [3])}}`, 8), /does not fill 8 bytes/],
  ['a negative offset', withHeader('{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}'), /data_offsets/],
  ['a shape whose product overflows', withHeader(`{"a":${entry(0, 4, [2 ** 40, 2 ** 40])}}`, 4), /does not fill/],
  ['an unknown dtype', withHeader('{"a":{"dtype":"F7","shape":[],"data_offsets":[0,4]}}', 4), /dtype "F7"/],
  ['a pickle', Uint8Array.from([0x80, 2, 0x7d, 0x71, 0, 0, 0, 0, 0, 0, 0, 0]), /can run code/],
])('%s is refused', (_, bytes, message) => {
  expect(() => decodeSafetensors(bytes, 'model.safetensors')).toThrow(message);
});
