/**
 * Safetensors files: 8 bytes header length (little-endian), a JSON header, then the tensors' bytes without holes.
 *
 * The reader is strict: whatever the format forbids is refused before a byte of a tensor is used, so a damaged or
 * hostile file is an error and never a wrong tensor. Format: https://huggingface.co/docs/safetensors
 */
import { RopeteamError } from '#training';

export type Dtype = keyof typeof BYTES_OF_DTYPE;

const BYTES_OF_DTYPE = { F32: 4, I64: 8, U8: 1 } as const;
const LENGTH_BYTES = 8;
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = '__metadata__';

export interface Tensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** The elements, little-endian, row after row. Not aligned in general. */
  readonly data: Uint8Array;
}

export interface NamedTensor extends Tensor {
  readonly name: string;
}

export interface Safetensors {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Length field and header: where the first tensor begins. */
  readonly headerBytes: number;
}

/** Length field and header of a file that holds these tensors in this order; the tensors' bytes follow it directly. */
export function encodeHeader(tensors: readonly NamedTensor[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const entries: [string, unknown][] = [];
  if (metadata.size > 0) entries.push([METADATA, Object.fromEntries(metadata)]);
  const names = new Set<string>([METADATA]);
  let offset = 0;
  for (const { name, dtype, shape, data } of tensors) {
    if (names.has(name)) throw new RangeError(`two tensors are called ${JSON.stringify(name)}`);
    if (numBytes(dtype, shape) !== data.byteLength) {
      throw new RangeError(
        `tensor ${name} of shape [${shape}] needs ${numBytes(dtype, shape)} bytes, not ${data.byteLength}`,
      );
    }
    names.add(name);
    entries.push([name, { dtype, shape, data_offsets: [offset, offset + data.byteLength] }]);
    offset += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const padded = Math.ceil(json.byteLength / LENGTH_BYTES) * LENGTH_BYTES;
  const header = new Uint8Array(LENGTH_BYTES + padded).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true);
  header.set(json, LENGTH_BYTES);
  return header;
}

/** A whole file in memory: for small ones. */
export function encodeSafetensors(tensors: readonly NamedTensor[], metadata: ReadonlyMap<string, string>): Uint8Array {
  const parts = [encodeHeader(tensors, metadata), ...tensors.map(({ data }) => data)];
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.byteLength;
  }
  return bytes;
}

/**
 * Reads a file. Tensors are views of `bytes`.
 * @param file named in errors
 * @throws RopeteamError STORAGE.CORRUPT that says what is wrong with it
 */
export function decodeSafetensors(bytes: Uint8Array, file: string): Safetensors {
  const refuse = (reason: string): never => {
    throw new RopeteamError('STORAGE.CORRUPT', { file }, `${file} is not a whole safetensors file: ${reason}`);
  };
  if (bytes.byteLength < LENGTH_BYTES + 2) return refuse(`it has ${bytes.byteLength} bytes`);
  if (looksLikePickle(bytes))
    return refuse('it looks like a pickle or zip file, and those are never loaded: they can run code');
  const length = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) return refuse(`its header claims ${length} bytes, the limit is ${MAX_HEADER_BYTES}`);
  const headerBytes = LENGTH_BYTES + Number(length);
  if (headerBytes > bytes.byteLength)
    return refuse(`its header claims ${length} bytes, the file has ${bytes.byteLength}`);

  const header = parseHeader(bytes.subarray(LENGTH_BYTES, headerBytes), refuse);
  const metadata = new Map<string, string>();
  const entries: { name: string; dtype: Dtype; shape: number[]; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) {
      if (!isObject(value)) return refuse('its metadata is not an object');
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') return refuse(`its metadata ${JSON.stringify(key)} is not a string`);
        metadata.set(key, text);
      }
    } else {
      entries.push({ name, ...tensorEntry(name, value, refuse) });
    }
  }

  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const data = bytes.subarray(headerBytes);
  const tensors = new Map<string, Tensor>();
  let expected = 0;
  for (const { name, dtype, shape, begin, end } of entries) {
    if (begin < expected) return refuse(`tensor ${JSON.stringify(name)} overlaps the one before it`);
    if (begin > expected) return refuse(`there is a hole before tensor ${JSON.stringify(name)}`);
    if (end > data.byteLength)
      return refuse(`tensor ${JSON.stringify(name)} ends ${end - data.byteLength} bytes past the end`);
    tensors.set(name, { dtype, shape, data: data.subarray(begin, end) });
    expected = end;
  }
  if (expected !== data.byteLength) return refuse(`${data.byteLength - expected} bytes follow the last tensor`);
  return { metadata, tensors, headerBytes };
}

/** A tensor's floats in memory of their own. */
export function float32Of(tensor: Tensor): Float32Array {
  const bytes = new Uint8Array(tensor.data.byteLength);
  bytes.set(tensor.data); // not slice(): a Buffer's slice is no copy
  return new Float32Array(bytes.buffer);
}

/** The bytes of floats, without a copy: little-endian on every platform Node has builds for but one, which is refused. */
export function bytesOf(floats: Float32Array): Uint8Array {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] !== 1) throw new Error('Ropeteam needs a little-endian machine');
  return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}

function parseHeader(bytes: Uint8Array, refuse: (reason: string) => never): Record<string, unknown> {
  if (bytes[0] !== 0x7b) return refuse('its header does not begin with "{"');
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    return refuse(`its header is not JSON (${error instanceof Error ? error.message : String(error)})`);
  }
  if (!isObject(header)) return refuse('its header is not an object');
  // JSON.parse keeps the last of two equal keys: fewer keys than written means that a name was there twice.
  if (countKeys(text) !== countParsedKeys(header)) return refuse('a name occurs twice in its header');
  return header;
}

function tensorEntry(name: string, value: unknown, refuse: (reason: string) => never) {
  const what = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value) || Object.keys(value).length !== 3)
    return refuse(`${what} is not described by dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !isDtype(dtype))
    return refuse(`${what} has dtype ${JSON.stringify(dtype)}, not F32, I64 or U8`);
  if (!isNaturals(shape)) return refuse(`${what} has no proper shape`);
  if (!isNaturals(offsets) || offsets.length !== 2) return refuse(`${what} has no proper data_offsets`);
  const [begin, end] = [offsets[0]!, offsets[1]!];
  if (end - begin !== numBytes(dtype, shape))
    return refuse(`${what} of shape [${shape}] does not fill ${end - begin} bytes`);
  return { dtype, shape, begin, end };
}

function numBytes(dtype: Dtype, shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, BYTES_OF_DTYPE[dtype]);
}

function countKeys(json: string): number {
  return [...json.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter((match) => match[1] !== undefined).length;
}

function countParsedKeys(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inside = Object.values(value).reduce<number>((sum, child) => sum + countParsedKeys(child), 0);
  return inside + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

function looksLikePickle(bytes: Uint8Array): boolean {
  const isZip = bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
  const isPickle = bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5 && bytes[LENGTH_BYTES] !== 0x7b;
  return isZip || isPickle;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDtype(value: string): value is Dtype {
  return Object.hasOwn(BYTES_OF_DTYPE, value);
}

function isNaturals(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}
