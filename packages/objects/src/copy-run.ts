/** Keeps the copy of one run in object storage up to date: what is there is whole after every request. */
import { stat } from 'node:fs/promises';
import { failpoint, RopeteamError } from '#training';
import type { Bucket } from './bucket.js';
import type { Term } from './coordinator-term.js';
import { newestManifest } from './fetch-run.js';
import { cutFile, type KnownFile, type SourceFile } from './file-pieces.js';
import { type CopiedFile, encodeManifest, manifestName, pieceName } from './run-manifest.js';

export interface RunCopy {
  /**
   * Sends what has changed since the last time, then the manifest that names it, then deletes what no manifest names.
   * @param files in an order in which what comes later vouches for nothing that came before it has lost
   * @returns bytes that were sent; `again`: a file was replaced meanwhile, and nothing but pieces was sent
   * @throws RopeteamError STORAGE.OBJECT, COORD.FENCED, RUN.EXISTS when the copy of that name is another run's
   */
  update(files: AsyncIterable<SourceFile>): Promise<{ readonly bytes: number; readonly again: boolean }>;
}

/** Whoever was submitted as this is this run. */
const IDENTITY = 'submission.json';

export function openRunCopy(bucket: Bucket, run: string, term: Term, mayBe: (name: string) => boolean): RunCopy {
  let known = new Map<string, KnownFile | Pick<KnownFile, 'pieces'>>();
  /** Objects of this run that are there. */
  let stored: Set<string> | undefined;
  let written = '';
  /** SHA-256 of what the run in the copy was submitted as. */
  let identity: string | undefined;

  const adopt = async (): Promise<Set<string>> => {
    const names = new Set(await bucket.list(`${run}/`));
    const earlier = await newestManifest(bucket, run, [...names], mayBe);
    identity = earlier?.files.find(({ name }) => name === IDENTITY)?.pieces[0]?.sha256;
    for (const { name, pieces } of earlier?.files ?? []) {
      // What somebody has deleted is sent again, with all that follows it.
      const gone = pieces.findIndex((piece) => !names.has(pieceName(run, name, piece)));
      known.set(name, { pieces: gone < 0 ? pieces : pieces.slice(0, gone) });
    }
    return names;
  };

  return {
    update: async (files) => {
      await term.check();
      stored ??= await adopt();
      const there = stored;
      let bytes = 0;
      const now = new Map<string, KnownFile>();
      const looked: SourceFile[] = [];
      for await (const file of files) {
        const cut = await cutFile(file, known.get(file.name), async (piece, content) => {
          if (file.name === IDENTITY && identity !== undefined && piece.sha256 !== identity)
            throw otherRun(bucket, run);
          const name = pieceName(run, file.name, piece);
          if (there.has(name)) return;
          failpoint('before-piece-copied');
          await bucket.put(name, content);
          there.add(name);
          bytes += content.length;
        });
        if (cut === undefined) continue; // it was deleted since it was listed
        now.set(file.name, cut);
        looked.push(file);
      }
      for (const file of looked) if (await wasReplaced(file, now.get(file.name))) return { bytes, again: true };
      known = now;
      const copied: CopiedFile[] = [...now].map(([name, { pieces }]) => ({ name, pieces }));
      const content = JSON.stringify(copied);
      const own = manifestName(run, term.number);
      if (content !== written) {
        failpoint('before-manifest');
        await term.check();
        await bucket.put(own, encodeManifest({ run, writtenAt: new Date().toISOString(), files: copied }));
        written = content;
        there.add(own);
        failpoint('after-manifest');
      }
      await clean(own, copied, there);
      return { bytes, again: false };
    },
  };

  /** Another that reads at this moment looks at the newest manifest again when an object is gone. */
  async function clean(own: string, files: readonly CopiedFile[], there: Set<string>): Promise<void> {
    const named = new Set([
      own,
      ...files.flatMap(({ name, pieces }) => pieces.map((one) => pieceName(run, name, one))),
    ]);
    const surplus = [...there].filter((name) => !named.has(name));
    if (surplus.length > 0) await term.check();
    for (const name of surplus) {
      await bucket.remove(name);
      there.delete(name);
    }
  }
}

/** A file that only grows may have grown; any other must be the one that was read. One that was deleted was read whole. */
async function wasReplaced({ path, kind }: SourceFile, known: KnownFile | undefined): Promise<boolean> {
  const now = await stat(path).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (now === undefined || known === undefined) return false;
  return now.ino !== known.inode || (kind === 'whole' && now.mtimeMs !== known.modifiedMs);
}

function otherRun(bucket: Bucket, run: string): RopeteamError {
  const message = `${bucket.url} has a copy of another run ${run}, which is left as it is: this one is not copied`;
  return new RopeteamError('RUN.EXISTS', { run }, message, {
    hint: 'fetch and remove that one, or submit under another --run-id',
  });
}
