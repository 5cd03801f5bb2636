/**
 * What a run's copy in object storage is: `RUN/manifest-00000007.json`, written last, names every file and the objects its
 * bytes are in, each with its SHA-256. The number is the term of the coordinator that wrote it: the highest one counts.
 */
import { createHash } from 'node:crypto';
import { RopeteamError } from '#training';

/** Bytes of a file that are one object: `RUN/SHA-256/NAME`. */
export interface Piece {
  readonly bytes: number;
  readonly sha256: string;
}

export interface CopiedFile {
  /** Below the run's folder, with `/`. */
  readonly name: string;
  /** In the order of the file's bytes. */
  readonly pieces: readonly Piece[];
}

export interface RunManifest {
  readonly run: string;
  /** ISO 8601. */
  readonly writtenAt: string;
  readonly files: readonly CopiedFile[];
}

const FORMAT = 'ropeteam-run-copy/1';
const NAME = /^manifest-(\d{8,15})\.json$/;
const SEAL = /,"sha256":"([0-9a-f]{64})"\}\n$/;

export function manifestName(run: string, term: number): string {
  return `${run}/manifest-${String(term).padStart(8, '0')}.json`;
}

/** The terms of the manifests among a run's objects, lowest first. */
export function termsAmong(run: string, names: readonly string[]): readonly number[] {
  return names
    .flatMap((name) => (name.startsWith(`${run}/`) ? (NAME.exec(name.slice(run.length + 1))?.[1] ?? []) : []))
    .map(Number)
    .sort((a, b) => a - b);
}

export function pieceName(run: string, file: string, { sha256 }: Piece): string {
  return `${run}/${sha256}/${file.slice(file.lastIndexOf('/') + 1)}`;
}

export function encodeManifest(manifest: RunManifest): Uint8Array {
  const json = JSON.stringify({ format: FORMAT, ...manifest });
  return new TextEncoder().encode(`${json.slice(0, -1)},"sha256":"${sha256(json)}"}\n`);
}

/**
 * @param mayBe whether a run's folder may hold a file of this name: what somebody else wrote leads nowhere else
 * @throws RopeteamError STORAGE.CORRUPT
 */
export function decodeManifest(
  bytes: Uint8Array,
  url: string,
  run: string,
  mayBe: (name: string) => boolean,
): RunManifest {
  const text = new TextDecoder().decode(bytes);
  const found = SEAL.exec(text);
  const json = found === null ? '' : `${text.slice(0, found.index)}}`;
  if (found === null || sha256(json) !== found[1]) throw damaged(url, 'its SHA-256 does not match');
  const value: unknown = JSON.parse(json);
  const problem = problemOf(value, run, mayBe);
  if (problem !== undefined) throw damaged(url, problem);
  return value as RunManifest; // every field was looked at just now
}

export function damaged(url: string, why: string): RopeteamError<'STORAGE.CORRUPT'> {
  return new RopeteamError('STORAGE.CORRUPT', { file: url }, `${url} is not what was copied there: ${why}`, {
    hint: 'put back an earlier version of the object, if the bucket keeps them; nothing was taken from it',
  });
}

function problemOf(value: unknown, run: string, mayBe: (name: string) => boolean): string | undefined {
  const { format, run: of, writtenAt, files } = value as Partial<Record<string, unknown>>; // sealed JSON of an object
  if (format !== FORMAT) return `its format is ${JSON.stringify(format)}, this program reads ${FORMAT}`;
  if (of !== run) return `it is of run ${JSON.stringify(of)}`;
  if (typeof writtenAt !== 'string' || !Array.isArray(files)) return 'it has no list of files';
  const names = new Set<unknown>();
  for (const file of files) {
    const { name, pieces } = (file ?? {}) as Partial<CopiedFile>; // each looked at below
    if (typeof name !== 'string' || !mayBe(name)) return `it names the file ${JSON.stringify(name)}, which no run has`;
    if (names.has(name)) return `it names ${name} twice`;
    names.add(name);
    if (!Array.isArray(pieces) || !pieces.every(isPiece)) return `it does not say where ${name} is`;
  }
  return undefined;
}

function isPiece(value: unknown): value is Piece {
  const { bytes, sha256: digits } = (value ?? {}) as Partial<Piece>; // each looked at below
  return Number.isSafeInteger(bytes) && typeof digits === 'string' && /^[0-9a-f]{64}$/.test(digits);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
