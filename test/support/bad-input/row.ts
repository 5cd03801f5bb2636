/** One row of the table of bad input: what lies in a folder, the command typed there, and what it must answer. */
import { crc32, gzipSync } from 'node:zlib';

export interface BadInput {
  /** Number in the catalogue of bad input. */
  readonly number: `B${number}`;
  readonly what: string;
  /** Files of the folder by name; a function makes what is no regular file, given its path. */
  readonly files: Readonly<Record<string, string | Uint8Array | ((path: string) => Promise<void> | void)>>;
  /** What is typed there, behind `ropeteam`. */
  readonly words: readonly string[];
  /** What stderr must say: the code, the place, the reason, what to do. */
  readonly says: readonly (string | RegExp)[];
  /** What stdout must say; default: nothing at all. */
  readonly prints?: readonly string[];
  /** Default: 2. */
  readonly exitCode?: number;
}

export const ROWS = Array.from({ length: 30 }, (_, row) => `${row},${2 * row + 1}`);

/** A CSV of columns `x` and `y`. */
export const csv = (...rows: readonly string[]): string => ['x,y', ...rows, ''].join('\n');

/** A job on `rows.csv`. */
export function job({
  data = 'source: rows.csv, target: y',
  layers = '[]',
  train = 'epochs: 2',
  head = 'apiVersion: ropeteam/v1\nname: bad',
} = {}): string {
  return `${head}\ndata: { ${data} }\nmodel: { layers: ${layers} }\ntrain: { ${train} }\n`;
}

/** A row about a job file, validated beside good data. */
export function ofJob(
  number: BadInput['number'],
  what: string,
  text: string,
  says: BadInput['says'],
  more: Partial<BadInput> = {},
): BadInput {
  const files = { 'job.yaml': text, 'rows.csv': csv(...ROWS), ...more.files };
  return { words: ['validate', 'job.yaml'], ...more, number, what, files, says };
}

/** A row about a data file: `source` in the job, and what is there under this name. */
export function ofData(
  number: BadInput['number'],
  what: string,
  content: string | Uint8Array | ((path: string) => Promise<void> | void) | undefined,
  says: BadInput['says'],
  {
    source = 'rows.csv',
    data = '',
    ...more
  }: Partial<BadInput> & { readonly source?: string; readonly data?: string } = {},
): BadInput {
  const text = job({ data: `source: ${source}, ${data === '' ? 'target: y' : data}` });
  const given = content === undefined ? {} : { [source.replaceAll('"', '')]: content };
  const files = { 'job.yaml': text, ...given, ...more.files };
  return { words: ['validate', 'job.yaml'], ...more, number, what, files, says };
}

/** A row about an array and its labels. */
export function ofArrays(
  number: BadInput['number'],
  what: string,
  source: string,
  content: Uint8Array,
  says: BadInput['says'],
  files: BadInput['files'],
): BadInput {
  return ofData(number, what, content, says, { source, data: 'labels: y.npy, target: y', files });
}

/** An NPY file, version 1. */
export function npy(type: string, shape: string, data: Uint8Array = new Uint8Array(), fortran = 'False'): Uint8Array {
  const text = `{'descr': '${type}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
  const padded = `${text.padEnd(128 - 11)}\n`;
  const header = new Uint8Array(10 + padded.length);
  header.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  header.set(new TextEncoder().encode(padded), 10);
  return concat(header, data);
}

/** An IDX file of bytes. */
export function idx(dimensions: readonly number[], data: number, magic = [0, 0, 8, dimensions.length]): Uint8Array {
  const header = new Uint8Array(4 + 4 * dimensions.length);
  header.set(magic);
  const view = new DataView(header.buffer);
  for (const [index, length] of dimensions.entries()) view.setUint32(4 + 4 * index, length);
  return concat(
    header,
    Uint8Array.from({ length: data }, (_, at) => at % 2),
  );
}

/** A safetensors file with this header, and so many bytes behind it. */
export function tensors(header: string, data: number | Uint8Array = 0): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return concat(length, text, typeof data === 'number' ? new Uint8Array(data) : data);
}

/** A zip archive of one stored member of this name. */
export function zip(name: string, content: Uint8Array): Uint8Array {
  const path = new TextEncoder().encode(name);
  const crc = crc32(content);
  const common = (view: DataView, at: number): void => {
    view.setUint32(at + 10, crc, true);
    view.setUint32(at + 14, content.length, true);
    view.setUint32(at + 18, content.length, true);
    view.setUint16(at + 22, path.length, true);
  };
  const local = new Uint8Array(30 + path.length);
  const localView = new DataView(local.buffer);
  localView.setUint32(0, 0x04034b50, true);
  localView.setUint16(4, 20, true);
  common(localView, 4);
  local.set(path, 30);
  const central = new Uint8Array(46 + path.length);
  const centralView = new DataView(central.buffer);
  centralView.setUint32(0, 0x02014b50, true);
  centralView.setUint16(4, 20, true);
  centralView.setUint16(6, 20, true);
  common(centralView, 6);
  central.set(path, 46);
  const end = new Uint8Array(22);
  const endView = new DataView(end.buffer);
  endView.setUint32(0, 0x06054b50, true);
  endView.setUint16(8, 1, true);
  endView.setUint16(10, 1, true);
  endView.setUint32(12, central.length, true);
  endView.setUint32(16, local.length + content.length, true);
  return concat(local, content, central, end);
}

/** Small on disk, large once unpacked. */
export const bomb = (bytes: number): Uint8Array => gzipSync(`x,y\n${'0,0\n'.repeat(bytes / 4)}`);

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
