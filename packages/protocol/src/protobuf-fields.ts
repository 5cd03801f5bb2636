/**
 * The few lines of the protobuf wire format that frames need: tags, varints, fixed32 and length-delimited fields.
 * Source: https://protobuf.dev/programming-guides/encoding/
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** One field as it lies in the bytes. `value` of a varint is exact up to 2^53; above, only its size is right. */
export type WireField =
  | { readonly kind: 'varint'; readonly number: number; readonly value: number }
  | { readonly kind: 'fixed32'; readonly number: number; readonly value: number }
  | { readonly kind: 'bytes'; readonly number: number; readonly value: Buffer }
  | { readonly kind: 'fixed64'; readonly number: number };

/** The fields of one message, in the order they lie there. Values are views, nothing is copied. Throws on malformed bytes. */
export function* readFields(bytes: Buffer): Generator<WireField, void, undefined> {
  let position = 0;
  const varint = (): number => {
    let value = 0;
    // Multiplying instead of shifting: shifts stop at 32 bits. Ten bytes is the longest varint there is.
    for (let index = 0, scale = 1; index < 10; index++, scale *= 128) {
      const byte = bytes[position++];
      if (byte === undefined) throw new Error('a varint runs past the end');
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new Error('a varint is longer than ten bytes');
  };
  const take = (length: number): number => {
    const start = position;
    if (length > bytes.length - start) throw new Error('a field runs past the end');
    position += length;
    return start;
  };
  while (position < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    if (number < 1 || number > 0x1fffffff) throw new Error(`field number ${number} does not exist`);
    switch (tag % 8) {
      case VARINT:
        yield { kind: 'varint', number, value: varint() };
        break;
      case FIXED64:
        take(8);
        yield { kind: 'fixed64', number };
        break;
      case LENGTH_DELIMITED: {
        const length = varint();
        const start = take(length);
        yield { kind: 'bytes', number, value: bytes.subarray(start, start + length) };
        break;
      }
      case FIXED32:
        yield { kind: 'fixed32', number, value: bytes.readUInt32LE(take(4)) };
        break;
      default:
        throw new Error(`wire type ${tag % 8} is not in use`);
    }
  }
}

/** Appends a varint at `position` and returns the position after it. `value` is a natural number below 2^53. */
export function writeVarint(into: Buffer, position: number, value: number): number {
  let rest = value;
  let at = position;
  while (rest >= 0x80) {
    into[at++] = (rest % 0x80) + 0x80;
    rest = Math.floor(rest / 0x80);
  }
  into[at++] = rest;
  return at;
}

export function varintBytes(value: number): number {
  let length = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

export const varintTag = (number: number): number => number * 8 + VARINT;
export const bytesTag = (number: number): number => number * 8 + LENGTH_DELIMITED;
export const fixed32Tag = (number: number): number => number * 8 + FIXED32;
