/**
 * The messages that carry tensors and shards, encoded and decoded by hand: one copy of the payload when encoding, none
 * when decoding. The bytes are those of the .proto files; `frames.test.ts` holds them against the protobuf library.
 *
 * Frames carry CRC-32 (IEEE), not CRC32C: Node has the former as native code (`zlib.crc32`, since 20.15) and would need
 * a table in JavaScript or another dependency for the latter. Both find every burst of up to 32 bits, which is what
 * matters here; the wide hash of a gradient is in its receipt.
 */
import { crc32 } from 'node:zlib';
import {
  type EncodedWeights,
  type Fence,
  FRAME_BYTES,
  type GradientFrame,
  type LeaseFrame,
  RopeteamError,
  type RunId,
  type Step,
  type WeightsFrame,
} from '#training';
import { readMessage } from './fields.js';
import { bytesTag, fixed32Tag, readFields, varintBytes, varintTag, writeVarint } from './protobuf-fields.js';
import { copyBytes } from './shared-copy.js';

/** A piece of a shard file on its way to a worker. */
export interface ShardFrame {
  readonly offset: number;
  readonly totalBytes: number;
  readonly payload: Uint8Array;
}

type Scalar = 'text' | 'natural';

/** Where a frame's fields lie: number and kind of each header field, then those of checksum and payload. */
interface FrameLayout<Name extends string> {
  /** Field of the session's oneof that holds the frame; absent: the frame is the message itself. */
  readonly within?: number;
  readonly header: readonly (readonly [name: Name, number: number, scalar: Scalar])[];
  readonly crc32: number;
  readonly payload: number;
  /** Of a message that may follow the payload. */
  readonly trailer?: number;
}

type HeaderOf<Name extends string> = Readonly<Record<Name, string | number>>;

/** A frame as it lies on the wire, its fields not yet checked. */
type RawFrame<Name extends string> = HeaderOf<Name> & {
  readonly crc32: number;
  readonly payload: Uint8Array;
  readonly trailer?: Buffer | undefined;
};

const GRADIENT = {
  within: 5,
  header: [
    ['runId', 1, 'text'],
    ['fence', 2, 'natural'],
    ['step', 3, 'natural'],
    ['blockBegin', 4, 'natural'],
    ['blockEnd', 5, 'natural'],
    ['offset', 6, 'natural'],
    ['totalBytes', 7, 'natural'],
  ],
  crc32: 8,
  payload: 9,
  trailer: 10,
} as const satisfies FrameLayout<string>;

const LEASE = {
  within: 10,
  header: [
    ['runId', 1, 'text'],
    ['fence', 2, 'natural'],
    ['step', 3, 'natural'],
    ['endStep', 4, 'natural'],
    ['offset', 5, 'natural'],
    ['totalBytes', 6, 'natural'],
  ],
  crc32: 7,
  payload: 8,
  trailer: 9,
} as const satisfies FrameLayout<string>;

const WEIGHTS = {
  within: 5,
  header: [
    ['runId', 1, 'text'],
    ['fence', 2, 'natural'],
    ['version', 3, 'natural'],
    ['offset', 4, 'natural'],
    ['totalBytes', 5, 'natural'],
  ],
  crc32: 6,
  payload: 7,
} as const satisfies FrameLayout<string>;

const STATE = { ...WEIGHTS, within: 8 } as const satisfies FrameLayout<string>;

const SHARD = {
  header: [
    ['offset', 1, 'natural'],
    ['totalBytes', 2, 'natural'],
  ],
  crc32: 3,
  payload: 4,
} as const satisfies FrameLayout<string>;

/**
 * A complete SessionRequest. `payload` is copied, so its memory may be reused at once.
 * @param receipt an encoded GradientReceipt, with the last frame of a gradient
 */
export function encodeGradientFrame(frame: GradientFrame, receipt?: Uint8Array): Buffer {
  const { run, fence, step, block, offset, totalBytes, payload } = frame;
  const header = { runId: run, fence, step, blockBegin: block.begin, blockEnd: block.end, offset, totalBytes };
  return encodeFrame(GRADIENT, header, payload, receipt);
}

/**
 * A complete SessionRequest, like `encodeGradientFrame`.
 * @param receipt an encoded LeaseReceipt, with the last frame of a lease
 */
export function encodeLeaseFrame(frame: LeaseFrame, receipt?: Uint8Array): Buffer {
  const { run, fence, step, end, offset, totalBytes, payload } = frame;
  return encodeFrame(LEASE, { runId: run, fence, step, endStep: end, offset, totalBytes }, payload, receipt);
}

/** A complete SessionResponse. */
export function encodeWeightsFrame(frame: WeightsFrame, kind: 'weights' | 'state' = 'weights'): Buffer {
  const { run, fence, version, offset, totalBytes, payload } = frame;
  return encodeFrame(kind === 'weights' ? WEIGHTS : STATE, { runId: run, fence, version, offset, totalBytes }, payload);
}

/** A complete FetchShardResponse. */
export function encodeShardFrame(frame: ShardFrame): Buffer {
  return encodeFrame(SHARD, { offset: frame.offset, totalBytes: frame.totalBytes }, frame.payload);
}

/** Cuts a weight version into frames and encodes each once, as the message every worker's stream hands through unchanged. */
export function encodeWeights(
  key: { readonly run: RunId; readonly fence: Fence; readonly version: Step },
  weights: Float32Array | Uint8Array,
): EncodedWeights {
  const frames = cut(weights, (offset, totalBytes, payload) =>
    encodeWeightsFrame({ ...key, offset, totalBytes, payload }),
  );
  return { ...key, frames: [...frames] };
}

/** The frames of weights and optimizer state, one after the other as in one tensor, for the one worker that needs both. */
export function encodeState(
  key: { readonly run: RunId; readonly fence: Fence; readonly version: Step },
  weights: Float32Array,
  optimizerState: Float32Array,
): EncodedWeights {
  const totalBytes = weights.byteLength + optimizerState.byteLength;
  const encode = (tensor: Float32Array, before: number): readonly Buffer[] => [
    ...cut(tensor, (offset, _, payload) =>
      encodeWeightsFrame({ ...key, offset: before + offset, totalBytes, payload }, 'state'),
    ),
  ];
  const state = optimizerState.length === 0 ? [] : encode(optimizerState, weights.byteLength);
  return { ...key, frames: [...encode(weights, 0), ...state] };
}

/**
 * A tensor smaller than this goes in quarter frames, so that its first bytes are checked and copied while its last are
 * still on their way: 0.4 MB a step gains 5 to 8 %. Larger ones are cut often enough, and each frame costs its share.
 */
const SMALL_TENSOR_BYTES = 4 * FRAME_BYTES;

/** The payloads of a tensor: views of `FRAME_BYTES` at most, each handed to `encode` when its turn comes. */
export function* cut<Frame>(
  tensor: Float32Array | Uint8Array,
  encode: (offset: number, totalBytes: number, payload: Uint8Array) => Frame,
): Generator<Frame, void, undefined> {
  const bytes = new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength);
  const frameBytes = bytes.length < SMALL_TENSOR_BYTES ? FRAME_BYTES / 4 : FRAME_BYTES;
  // An empty shard is still one frame: the receiver must learn that it is empty.
  for (let offset = 0; offset === 0 || offset < bytes.length; offset += frameBytes) {
    yield encode(offset, bytes.length, bytes.subarray(offset, offset + frameBytes));
  }
}

/**
 * The frame of a SessionRequest, or undefined if the message is of another kind. Throws WIRE.CORRUPT.
 * @returns also the encoded GradientReceipt that came with it, not yet looked at
 */
export function decodeGradientFrame(
  message: Buffer,
): { readonly frame: GradientFrame; readonly receipt: Buffer | undefined } | undefined {
  const raw = decodeFrame(GRADIENT, message);
  return raw === undefined ? undefined : { frame: checkGradientFrame(raw), receipt: raw.trailer };
}

/** Like `decodeGradientFrame`, of what a lease left behind; the receipt is an encoded LeaseReceipt. Throws WIRE.CORRUPT. */
export function decodeLeaseFrame(
  message: Buffer,
): { readonly frame: LeaseFrame; readonly receipt: Buffer | undefined } | undefined {
  const raw = decodeFrame(LEASE, message);
  return raw === undefined ? undefined : { frame: checkLeaseFrame(raw), receipt: raw.trailer };
}

/** Like `decodeWeightsFrame`, of weights and optimizer state in one tensor. Throws WIRE.CORRUPT. */
export function decodeStateFrame(message: Buffer): WeightsFrame | undefined {
  const raw = decodeFrame(STATE, message);
  return raw === undefined ? undefined : checkWeightsFrame(raw, 'stateFrame');
}

/** The frame of a SessionResponse, or undefined if the message is of another kind. Throws WIRE.CORRUPT. */
export function decodeWeightsFrame(message: Buffer): WeightsFrame | undefined {
  const raw = decodeFrame(WEIGHTS, message);
  return raw === undefined ? undefined : checkWeightsFrame(raw);
}

/** Throws WIRE.CORRUPT. */
export function decodeShardFrame(message: Buffer): ShardFrame {
  const raw = decodeFrame(SHARD, message);
  if (raw === undefined) throw corrupt('a shard frame', 'is not one');
  return checkShardFrame(raw);
}

/** Checks ranges and checksum of a gradient frame that either codec decoded. Throws WIRE.CORRUPT or USAGE.ARGUMENT. */
export function checkGradientFrame(raw: unknown): GradientFrame {
  const fields = readMessage(raw, 'gradientFrame');
  const begin = fields.natural('blockBegin', 0xffffffff);
  const block = { begin, end: fields.natural('blockEnd', 0xffffffff) };
  const key = { run: fields.runId('runId'), fence: fields.fence('fence'), step: fields.step('step'), block };
  return { ...key, ...checkRange(raw, 'gradientFrame', 4) };
}

/** Checks ranges and checksum of a lease frame that either codec decoded. Throws WIRE.CORRUPT or USAGE.ARGUMENT. */
export function checkLeaseFrame(raw: unknown): LeaseFrame {
  const fields = readMessage(raw, 'leaseFrame');
  const key = { run: fields.runId('runId'), fence: fields.fence('fence'), step: fields.step('step') };
  return { ...key, end: fields.positive('endStep'), ...checkRange(raw, 'leaseFrame', 4) };
}

/** Checks ranges and checksum of a weights frame that either codec decoded. Throws WIRE.CORRUPT or USAGE.ARGUMENT. */
export function checkWeightsFrame(raw: unknown, path = 'weightsFrame'): WeightsFrame {
  const fields = readMessage(raw, path);
  const key = { run: fields.runId('runId'), fence: fields.fence('fence'), version: fields.step('version') };
  return { ...key, ...checkRange(raw, path, 4) };
}

/** Checks ranges and checksum of a shard frame that either codec decoded. Throws WIRE.CORRUPT or USAGE.ARGUMENT. */
export function checkShardFrame(raw: unknown): ShardFrame {
  return checkRange(raw, 'fetchShardResponse', 1);
}

function checkRange(raw: unknown, path: string, multipleOf: 1 | 4): ShardFrame {
  const fields = readMessage(raw, path);
  const offset = fields.natural('offset');
  const totalBytes = fields.natural('totalBytes');
  const { payload } = raw as { payload: unknown }; // `readMessage` saw an object
  if (!(payload instanceof Uint8Array)) throw corrupt(path, 'has no payload');
  if (payload.length > FRAME_BYTES)
    throw corrupt(path, `has ${payload.length} bytes; at most ${FRAME_BYTES} are allowed`);
  if (payload.length === 0 && (multipleOf === 4 || totalBytes > 0)) throw corrupt(path, 'is empty');
  if (offset + payload.length > totalBytes) {
    throw corrupt(path, `covers bytes ${offset}..${offset + payload.length} of a total of ${totalBytes}`);
  }
  if ([offset, totalBytes, payload.length].some((count) => count % multipleOf !== 0)) {
    throw corrupt(path, `at ${offset} of ${totalBytes} does not hold whole numbers of ${multipleOf} bytes`);
  }
  const found = crc32(payload);
  const sent = fields.natural('crc32', 0xffffffff);
  if (found !== sent) {
    throw corrupt(path, `at ${offset} of ${totalBytes} has CRC-32 ${hex(found)}, its sender computed ${hex(sent)}`);
  }
  return { offset, totalBytes, payload };
}

const hex = (value: number) => value.toString(16).padStart(8, '0');

/** Bytes that are not what was sent, or not what the .proto file allows. */
export function corrupt(what: string, problem: string, cause?: unknown): RopeteamError<'WIRE.CORRUPT'> {
  return new RopeteamError('WIRE.CORRUPT', { what }, `${what} ${problem}`, {
    hint: 'The connection is closed and the work is done again; if it keeps happening, check memory and network.',
    cause,
  });
}

function encodeFrame<Name extends string>(
  layout: FrameLayout<Name>,
  header: HeaderOf<NoInfer<Name>>,
  payload: Uint8Array,
  trailer?: Uint8Array,
): Buffer {
  // Names are validated ASCII, 63 characters at most, so a field's text has as many bytes as characters.
  let frameBytes = 5 + 1 + varintBytes(payload.length) + payload.length;
  for (const [name] of layout.header) {
    const value = header[name];
    frameBytes += 1 + (typeof value === 'string' ? varintBytes(value.length) + value.length : varintBytes(value));
  }
  if (trailer !== undefined) frameBytes += 1 + varintBytes(trailer.length) + trailer.length;
  const outerBytes = layout.within === undefined ? 0 : 1 + varintBytes(frameBytes);
  const into = Buffer.allocUnsafe(outerBytes + frameBytes);
  let at = 0;
  if (layout.within !== undefined) {
    into[at++] = bytesTag(layout.within);
    at = writeVarint(into, at, frameBytes);
  }
  for (const [name, number] of layout.header) {
    const value = header[name];
    if (typeof value === 'string') {
      into[at++] = bytesTag(number);
      at = writeVarint(into, at, value.length);
      at += into.write(value, at, 'latin1');
    } else {
      into[at++] = varintTag(number);
      at = writeVarint(into, at, value);
    }
  }
  into[at++] = fixed32Tag(layout.crc32);
  const crcAt = at;
  at += 4;
  into[at++] = bytesTag(layout.payload);
  at = writeVarint(into, at, payload.length);
  copyBytes(into, at, payload);
  // Over the copy: the payload may lie in memory that kernel threads share.
  into.writeUInt32LE(crc32(into.subarray(at, at + payload.length)), crcAt);
  if (trailer !== undefined && layout.trailer !== undefined) {
    at += payload.length;
    into[at++] = bytesTag(layout.trailer);
    into.set(trailer, writeVarint(into, at, trailer.length));
  }
  return into;
}

/** Undefined if the message is not exactly one frame of this layout: then it is the protobuf library's to decode. */
function decodeFrame<Name extends string>(layout: FrameLayout<Name>, message: Buffer): RawFrame<Name> | undefined {
  try {
    const frame = layout.within === undefined ? message : soleField(message, layout.within);
    return frame === undefined ? undefined : readFrame(layout, frame);
  } catch (error) {
    throw error instanceof RopeteamError ? error : corrupt('a frame', 'cannot be decoded', error);
  }
}

/** The bytes of field `number` if they are all the message holds. */
function soleField(message: Buffer, number: number): Buffer | undefined {
  if (message[0] !== bytesTag(number)) return undefined;
  const first = readFields(message).next();
  if (first.done === true || first.value.kind !== 'bytes') return undefined;
  const value = first.value.value;
  return value.byteOffset + value.length === message.byteOffset + message.length ? value : undefined;
}

function readFrame<Name extends string>(layout: FrameLayout<Name>, frame: Buffer): RawFrame<Name> {
  // Absent fields have their proto3 defaults; the last of a repeated field counts; unknown fields are passed over.
  const header = Object.fromEntries(layout.header.map(([name, , scalar]) => [name, scalar === 'text' ? '' : 0]));
  let checksum = 0;
  let payload: Buffer = Buffer.alloc(0);
  let trailer: Buffer | undefined;
  for (const field of readFields(frame)) {
    const known = layout.header.find(([, number]) => number === field.number);
    if (field.number === layout.crc32 && field.kind === 'fixed32') checksum = field.value;
    else if (field.number === layout.payload && field.kind === 'bytes') payload = field.value;
    else if (field.number === layout.trailer && field.kind === 'bytes') trailer = field.value;
    else if (known?.[2] === 'text' && field.kind === 'bytes') header[known[0]] = field.value.toString('utf8');
    else if (known?.[2] === 'natural' && field.kind === 'varint') header[known[0]] = field.value;
    else if (known !== undefined || [layout.crc32, layout.payload, layout.trailer].includes(field.number)) {
      throw new Error(`field ${field.number} has the wrong wire type`);
    }
  }
  return { ...(header as HeaderOf<Name>), crc32: checksum, payload, trailer }; // every name of the layout was set above
}
