/**
 * The header of a safetensors file, and everything the format forbids in it.
 *
 * Layout: 8 bytes length (little-endian), so many bytes of JSON, then the tensors without holes. It is read on its own, so
 * that a large file's tensors can be fetched one by one. Format: https://huggingface.co/docs/safetensors
 */
import { RopeteamError } from '#training';

export type Dtype = keyof typeof BYTES_OF_DTYPE;

/** Every type of the format whose elements are whole bytes. */
const BYTES_OF_DTYPE = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;

/** The length field. */
export const LENGTH_BYTES = 8;
/** The format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;
export const METADATA = '__metadata__';

/** One tensor: its elements are bytes `[begin, end)` of the file, little-endian, row after row. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their bytes. */
  readonly entries: readonly TensorEntry[];
}

/**
 * Bytes of length field and header, which is where the first tensor begins.
 * @param start the file's first bytes: at least 10, or all there are
 * @param file named in errors
 * @throws RopeteamError STORAGE.CORRUPT for what can be no safetensors file
 */
export function headerLength(start: Uint8Array, fileBytes: number, file: string): number {
  const refuse = refusal(file);
  if (fileBytes < LENGTH_BYTES + 2 || start.byteLength < LENGTH_BYTES + 2) return refuse(`it has ${fileBytes} bytes`);
  if (looksLikePickle(start))
    return refuse(
      'it looks like a pickle or zip file, and those are never loaded: they can run code',
      'save the tensors alone, with PyTorch: safetensors.torch.save_file(model.state_dict(), "model.safetensors")',
    );
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) return refuse(`its header claims ${length} bytes, the limit is ${MAX_HEADER_BYTES}`);
  const headerBytes = LENGTH_BYTES + Number(length);
  if (headerBytes > fileBytes) return refuse(`its header claims ${length} bytes, the file has ${fileBytes}`);
  return headerBytes;
}

/**
 * Reads length field and header.
 * @param bytes as many as `headerLength` says
 * @param file named in errors
 * @throws RopeteamError STORAGE.CORRUPT that says what is wrong with it
 */
export function decodeHeader(bytes: Uint8Array, fileBytes: number, file: string): SafetensorsHeader {
  const refuse = refusal(file);
  const header = parseHeader(bytes.subarray(LENGTH_BYTES), refuse);
  const metadata = new Map<string, string>();
  const found: TensorEntry[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) {
      if (!isObject(value)) return refuse('its metadata is not an object');
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string') return refuse(`its metadata ${JSON.stringify(key)} is not a string`);
        metadata.set(key, text);
      }
    } else {
      found.push({ name, ...tensorEntry(name, value, refuse) });
    }
  }

  found.sort((a, b) => a.begin - b.begin || a.end - b.end);
  const dataBytes = fileBytes - bytes.byteLength;
  let expected = 0;
  for (const { name, begin, end } of found) {
    if (begin < expected) return refuse(`tensor ${JSON.stringify(name)} overlaps the one before it`);
    if (begin > expected) return refuse(`there is a hole before tensor ${JSON.stringify(name)}`);
    if (end > dataBytes) return refuse(`tensor ${JSON.stringify(name)} ends ${end - dataBytes} bytes past the end`);
    expected = end;
  }
  if (expected !== dataBytes) return refuse(`${dataBytes - expected} bytes follow the last tensor`);
  const base = bytes.byteLength;
  return { metadata, entries: found.map((entry) => ({ ...entry, begin: base + entry.begin, end: base + entry.end })) };
}

function refusal(file: string): (reason: string, hint?: string) => never {
  return (reason, hint) => {
    const message = `${file} is not a whole safetensors file: ${reason}`;
    throw new RopeteamError('STORAGE.CORRUPT', { file }, message, hint === undefined ? {} : { hint });
  };
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

function tensorEntry(name: string, value: unknown, refuse: (reason: string) => never): Omit<TensorEntry, 'name'> {
  const what = `tensor ${JSON.stringify(name)}`;
  if (!isObject(value) || Object.keys(value).length !== 3)
    return refuse(`${what} is not described by dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (typeof dtype !== 'string' || !isDtype(dtype))
    return refuse(`${what} has dtype ${JSON.stringify(dtype)}, which the format does not have`);
  if (!isNaturals(shape)) return refuse(`${what} has no proper shape`);
  if (!isNaturals(offsets) || offsets.length !== 2) return refuse(`${what} has no proper data_offsets`);
  const [begin, end] = [offsets[0]!, offsets[1]!];
  if (end - begin !== numBytes(dtype, shape))
    return refuse(`${what} of shape [${shape}] does not fill ${end - begin} bytes`);
  return { dtype, shape, begin, end };
}

/** Bytes of a tensor. */
export function numBytes(dtype: Dtype, shape: readonly number[]): number {
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
