import { strict as assert } from 'node:assert';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FRAME_BYTES, fence, type GradientFrame, runId, step, type WeightsFrame } from '#training';
import {
  checkGradientFrame,
  checkShardFrame,
  checkWeightsFrame,
  cut,
  decodeGradientFrame,
  decodeShardFrame,
  decodeWeightsFrame,
  encodeGradientFrame,
  encodeShardFrame,
  encodeWeights,
  encodeWeightsFrame,
} from './frames.js';
import { fetchShardResponse, type MessageCodec, sessionRequest, sessionResponse } from './proto-definitions.js';

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const run = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/).map(runId);
const range = (multipleOf: number) =>
  fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.nat(), fc.nat()).map(([cells, before, after]) => {
    const payload = new Uint8Array(cells.length * multipleOf).fill(cells[0] ?? 0);
    const offset = before * multipleOf;
    return { offset, totalBytes: offset + payload.length + after * multipleOf, payload };
  });
const gradientFrames: fc.Arbitrary<GradientFrame> = fc
  .tuple(run, count, count, fc.nat(), fc.nat(), range(4))
  .map(([name, f, s, begin, end, bytes]) => ({
    run: name,
    fence: fence(f),
    step: step(s),
    block: { begin, end },
    ...bytes,
  }));
const weightsFrames: fc.Arbitrary<WeightsFrame> = fc
  .tuple(run, count, count, range(4))
  .map(([name, f, v, bytes]) => ({ run: name, fence: fence(f), version: step(v), ...bytes }));

/** What the protobuf library makes of a message, as its own test of the hand-written codec. */
function byLibrary(codec: MessageCodec, bytes: Buffer): Record<string, unknown> {
  return codec.decode(bytes);
}

test('a gradient frame encoded by hand is what the protobuf library decodes, and the other way round', () => {
  fc.assert(
    fc.property(gradientFrames, (frame) => {
      const message = byLibrary(sessionRequest, encodeGradientFrame(frame));
      assert.equal(message.message, 'gradientFrame');
      assert.deepEqual(plain(checkGradientFrame(message.gradientFrame)), plain(frame));
      assert.deepEqual(plain(decodeGradientFrame(sessionRequest.encode(message))?.frame), plain(frame));
      assert.deepEqual(plain(decodeGradientFrame(encodeGradientFrame(frame))?.frame), plain(frame));
    }),
  );
});

test('a weights frame encoded by hand is what the protobuf library decodes, and the other way round', () => {
  fc.assert(
    fc.property(weightsFrames, (frame) => {
      const message = byLibrary(sessionResponse, encodeWeightsFrame(frame));
      assert.equal(message.message, 'weightsFrame');
      assert.deepEqual(plain(checkWeightsFrame(message.weightsFrame)), plain(frame));
      assert.deepEqual(plain(decodeWeightsFrame(sessionResponse.encode(message))), plain(frame));
    }),
  );
});

test('a shard frame encoded by hand is what the protobuf library decodes, and the other way round', () => {
  fc.assert(
    fc.property(range(1), (frame) => {
      const message = byLibrary(fetchShardResponse, encodeShardFrame(frame));
      assert.deepEqual(plain(checkShardFrame(message)), plain(frame));
      assert.deepEqual(plain(decodeShardFrame(fetchShardResponse.encode(message))), plain(frame));
    }),
  );
});

test('a message that is not a frame is left to the protobuf library', () => {
  expect(decodeGradientFrame(sessionRequest.encode({ heartbeat: { residentBytes: 1 } }))).toBeUndefined();
  expect(decodeWeightsFrame(sessionResponse.encode({ heartbeatAnswer: {} }))).toBeUndefined();
  expect(decodeGradientFrame(Buffer.alloc(0))).toBeUndefined();
});

test('fields this version does not know are passed over', () => {
  const unknown = Buffer.from([
    0xa0, 0x06, 0x01, 0xaa, 0x06, 0x02, 7, 7, 0xad, 0x06, 1, 2, 3, 4, 0xa9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8,
  ]);
  const known = encodeShardFrame({ offset: 3, totalBytes: 9, payload: Buffer.from('abc') });
  expect(plain(decodeShardFrame(Buffer.concat([unknown, known])))).toEqual(plain(decodeShardFrame(known)));
});

test('decoding copies no payload', () => {
  const bytes = encodeShardFrame({ offset: 0, totalBytes: 3, payload: Buffer.from('abc') });
  const { payload } = decodeShardFrame(bytes);
  expect(payload.buffer).toBe(bytes.buffer);
});

test('any flipped bit of a payload or its checksum is found', () => {
  const bytes = encodeGradientFrame(exampleFrame);
  const payloadAt = bytes.length - exampleFrame.payload.length;
  const checksumAt = payloadAt - 2 - 4; // tag and length of the payload lie between
  const positions = [...bytes.keys()].filter((at) => at >= payloadAt || (at >= checksumAt && at < checksumAt + 4));
  for (const at of positions) {
    for (let bit = 0; bit < 8; bit++) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << bit);
      expect(() => decodeGradientFrame(damaged)).toThrow(expect.objectContaining({ code: 'WIRE.CORRUPT' }));
    }
  }
});

test('cutting a frame anywhere, or any bytes at all, gives WIRE.CORRUPT or USAGE.ARGUMENT and nothing else', () => {
  const whole = encodeGradientFrame(exampleFrame);
  const allowed = (bytes: Uint8Array) => {
    for (const decode of [decodeGradientFrame, decodeWeightsFrame, decodeShardFrame]) {
      try {
        decode(Buffer.from(bytes));
      } catch (error) {
        expect(error).toHaveProperty('code', expect.stringMatching(/^(WIRE\.CORRUPT|USAGE\.ARGUMENT)$/));
      }
    }
  };
  fc.assert(fc.property(fc.nat(whole.length), (length) => allowed(whole.subarray(0, length))));
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), allowed));
});

test.each([
  ['past the end of the tensor', { offset: 4, totalBytes: 8, payload: Buffer.alloc(8) }],
  ['at no multiple of four', { offset: 2, totalBytes: 8, payload: Buffer.alloc(4) }],
  ['with a part of a number', { offset: 0, totalBytes: 8, payload: Buffer.alloc(3) }],
  ['without a payload', { offset: 0, totalBytes: 8, payload: Buffer.alloc(0) }],
  ['larger than a frame', { offset: 0, totalBytes: FRAME_BYTES + 4, payload: Buffer.alloc(FRAME_BYTES + 4) }],
])('a gradient frame %s is corrupt', (_what, bytes) => {
  const message = encodeGradientFrame({ ...exampleFrame, ...bytes });
  expect(() => decodeGradientFrame(message)).toThrow(expect.objectContaining({ code: 'WIRE.CORRUPT' }));
});

test('a number above 2^53 - 1 is refused by name instead of being rounded', () => {
  const huge = sessionRequest.encode({ gradientFrame: { runId: 'digits', fence: '9007199254740993' } });
  expect(() => decodeGradientFrame(huge)).toThrow(/gradientFrame\.fence must be an integer.*9007199254740992/);
});

test.each([
  { mebibytes: 4, frames: 5, of: 'one MiB' },
  { mebibytes: 2, frames: 9, of: 'a quarter of that, being few' },
])(
  'weights of $mebibytes MiB are cut into frames of $of that together hold every byte once',
  ({ mebibytes, frames }) => {
    const weights = new Float32Array(new SharedArrayBuffer(mebibytes * FRAME_BYTES + 20));
    for (let index = 0; index < weights.length; index++) weights[index] = index;
    const key = { run: runId('digits'), fence: fence(2), version: step(7) };
    const encoded = encodeWeights(key, weights);
    expect(encoded.frames).toHaveLength(frames);
    const received = new Uint8Array(weights.byteLength);
    for (const frame of encoded.frames) {
      const decoded = decodeWeightsFrame(Buffer.from(frame));
      assert.ok(decoded);
      expect(decoded).toMatchObject({ ...key, totalBytes: weights.byteLength });
      received.set(decoded.payload, decoded.offset);
    }
    expect(crc32(received)).toBe(crc32(new Uint8Array(weights.slice().buffer)));
  },
);

test('an empty file is one empty frame', () => {
  const frames = [
    ...cut(new Uint8Array(0), (offset, totalBytes, payload) => encodeShardFrame({ offset, totalBytes, payload })),
  ];
  expect(frames.map(decodeShardFrame).map(plain)).toEqual([{ offset: 0, totalBytes: 0, payload: '' }]);
});

const exampleFrame: GradientFrame = {
  run: runId('digits'),
  fence: fence(3),
  step: step(12),
  block: { begin: 4, end: 8 },
  offset: 8,
  totalBytes: 64,
  payload: Uint8Array.from({ length: 24 }, (_, index) => index * 7),
};

/** Comparable whatever kind of byte array the payload is. */
function plain(frame: { readonly payload: Uint8Array } | undefined) {
  return frame === undefined ? undefined : { ...frame, payload: Buffer.from(frame.payload).toString('hex') };
}
