/**
 * Safetensors files: 8 bytes header length (little-endian), a JSON header, then the tensors' bytes without holes.
 *
 * The reader is strict: whatever the format forbids is refused before a byte of a tensor is used, so a damaged or
 * hostile file is an error and never a wrong tensor. Format: https://huggingface.co/docs/safetensors
 */
import { type Dtype, decodeHeader, headerLength, LENGTH_BYTES, METADATA, numBytes } from './safetensors-header.js';

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
  const headerBytes = headerLength(bytes, bytes.byteLength, file);
  const { metadata, entries } = decodeHeader(bytes.subarray(0, headerBytes), bytes.byteLength, file);
  const tensors = new Map(
    entries.map(({ name, dtype, shape, begin, end }) => [name, { dtype, shape, data: bytes.subarray(begin, end) }]),
  );
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
