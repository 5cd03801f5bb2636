/**
 * A Parquet file is decoded in a thread first, where it may neither go on for ever nor take all memory.
 *
 * The library believes the run lengths in a file's pages: some of a few damaged bytes make it loop or fill the heap, and then
 * nothing else in the process gets a turn. Decoding depends on the bytes alone, so what ended well in the thread ends well
 * here. It costs a second core while the file is hashed, or the decoding once more where there is none.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { RopeteamError } from '#training';
import type { SourceFile } from './file-bytes.js';

/** What the thread is given. */
export interface TrialData {
  readonly file: SourceFile;
}

export interface ParquetTrial extends AsyncDisposable {
  /** Resolves when footer and schema were read. @throws RopeteamError DATA.LIMIT when that takes too long or too much */
  opened(): Promise<void>;
  /** Resolves when every value of these columns was decoded. @throws the same */
  decoded(columns: readonly string[]): Promise<void>;
}

export interface TrialLimits {
  /** Milliseconds for the footer, and beside `msPerByte` for the values. */
  readonly baseMs: number;
  /** Of the file. The slowest encoding measured takes 0.0002 ms a byte. */
  readonly msPerByte: number;
  readonly heapMegabytes: number;
}

const LIMITS: TrialLimits = { baseMs: 20_000, msPerByte: 0.002, heapMegabytes: 4096 };

/** @param bytes of the file */
export function startParquetTrial(file: SourceFile, bytes: number, limits: TrialLimits = LIMITS): ParquetTrial {
  const workerData: TrialData = { file };
  const thread = new Worker(new URL('./parquet-thread.js', import.meta.url), {
    workerData,
    execArgv: [],
    name: 'parquet',
    resourceLimits: { maxOldGenerationSizeMb: limits.heapMegabytes },
  });
  const ended = once(thread, 'exit');
  const broken = new Promise<never>((_, reject) => {
    thread.on('error', (cause) => reject(harmful(file, `its decoding failed: ${cause.message}`, cause)));
  });
  broken.catch(() => undefined); // heard by whoever waits; nobody has to
  /** Resolves with a word of the thread's; with its last one in any case. */
  const heard = (wanted: string): Promise<void> =>
    new Promise((resolve) => {
      thread.on('message', (word: unknown) => {
        if (word === wanted || word === 'done') resolve();
      });
    });
  const [opened, done] = [heard('opened'), heard('done')];

  const within = async (word: Promise<void>, limitMs: number): Promise<void> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const tell = (): void =>
        reject(harmful(file, `it was not decoded in ${(limitMs / 1000).toFixed(1)} s`, undefined));
      timer = setTimeout(tell, limitMs);
    });
    await Promise.race([word, broken, late]).finally(() => clearTimeout(timer));
  };
  return {
    opened: () => within(opened, limits.baseMs),
    decoded: (columns) => {
      thread.postMessage(columns);
      return within(done, limits.baseMs + bytes * limits.msPerByte);
    },
    [Symbol.asyncDispose]: async () => {
      await thread.terminate();
      await ended;
    },
  };
}

function harmful(file: SourceFile, what: string, cause: unknown): RopeteamError {
  const message = `${file.name} cannot be read as Parquet: ${what}`;
  return new RopeteamError('DATA.FORMAT', { file: file.name }, message, {
    place: { file: file.name },
    hint: 'it may be damaged: write it again (pandas: to_parquet), in smaller row groups if it is very large',
    cause,
  });
}
