/** One array of an NPZ file, which is a Zip archive of NPY files: `mnist.npz#x_train` is the member `x_train.npy`. */
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { filePathOf, memberOf, RopeteamError } from '#training';
import { arrayError } from './array-header.js';
import { type BytesOptions, openRegular, refuseExpansion, type SourceFile } from './file-bytes.js';

/** Arrays are few; an archive with more entries is something else. */
const MAX_MEMBERS = 10_000;
/** Names told when the wanted one is not there. */
const TOLD_NAMES = 8;

/**
 * The bytes of a member, unpacked, a chunk at a time; their length and checksum are those the archive says.
 * @throws RopeteamError DATA.FILE, DATA.FORMAT (no such archive or member, damaged), DATA.LIMIT (too many members, a bomb);
 * `signal.reason`
 */
export async function* readMember(file: SourceFile, { hash, signal }: BytesOptions): AsyncGenerator<Buffer> {
  await (await openRegular(file)).close(); // tells what is missing or no file; the archive is opened by its path
  const archive = await told(file, () => openPromise(file.path, { lazyEntries: true, autoClose: false }));
  try {
    const entry = await findMember(file, archive);
    if (!entry.canDecodeFileData()) {
      throw arrayError(file, 'is encrypted or compressed by a method that is not read', 'write it with numpy.savez');
    }
    // What a member says of its size is what is unpacked of it at the most.
    refuseExpansion(file, entry.uncompressedSize, entry.compressedSize);
    const stream = await told(file, () => archive.openReadStreamPromise(entry));
    let sum = 0;
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        signal?.throwIfAborted();
        sum = crc32(chunk, sum);
        hash?.update(chunk);
        yield chunk;
      }
    } catch (cause) {
      if (cause instanceof RopeteamError || signal?.aborted) throw cause;
      throw damaged(file, cause);
    } finally {
      stream.destroy();
    }
    if (sum !== entry.crc32) throw damaged(file, new Error('its checksum is wrong'));
  } finally {
    archive.close();
  }
}

async function findMember(file: SourceFile, archive: ZipFile): Promise<Entry> {
  const archiveName = filePathOf(file.name);
  if (archive.entryCount > MAX_MEMBERS) {
    const message = `${archiveName} has ${archive.entryCount} members, at most ${MAX_MEMBERS} are read`;
    throw new RopeteamError('DATA.LIMIT', { file: file.name, limit: MAX_MEMBERS }, message, {
      place: { file: archiveName },
      hint: 'check that it is what numpy.savez wrote',
    });
  }
  const arrays = new Map<string, Entry>();
  await told(file, async () => {
    for await (const entry of archive.eachEntry()) {
      if (entry.fileName.endsWith('.npy')) arrays.set(withoutExtension(entry.fileName), entry);
    }
  });
  const names = [...arrays.keys()];
  const shown = `${names.slice(0, TOLD_NAMES).join(', ')}${names.length > TOLD_NAMES ? `, … (${names.length})` : ''}`;
  const wanted = memberOf(file.name);
  const found = wanted === undefined ? arrays.get(names[0] ?? '') : arrays.get(withoutExtension(wanted));
  if (found !== undefined && (wanted !== undefined || names.length === 1)) return found;
  if (names.length === 0) throw arrayError(file, 'holds no array', 'write it with numpy.savez');
  if (wanted === undefined) {
    const hint = `name one of them: ${archiveName}#${names[0]}`;
    throw arrayError(file, `holds several arrays: ${shown}`, hint);
  }
  const what = `is not there: ${archiveName} holds ${shown}`;
  throw arrayError(file, what, `name one of them: ${archiveName}#${names[0]}`);
}

const withoutExtension = (name: string): string => name.replace(/\.npy$/, '');

/** What the library throws says that the archive is damaged; it has no errors of its own kind. */
async function told<T>(file: SourceFile, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw cause instanceof RopeteamError ? cause : damaged(file, cause);
  }
}

function damaged(file: SourceFile, cause: unknown): RopeteamError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const message = `${file.name} cannot be read as NPZ: ${reason}`;
  return new RopeteamError('DATA.FORMAT', { file: file.name }, message, {
    cause,
    place: { file: file.name },
    hint: `write it again with numpy.savez, and check it with: unzip -t ${filePathOf(file.name)}`,
  });
}
