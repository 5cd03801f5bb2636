/** `events.ndjson`: a run's events, one JSON object a line, kept for whoever watches later. */
import { createReadStream, existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { StringDecoder } from 'node:string_decoder';
import type { RunEvent } from '#training';
import { errorCodeOf } from './atomic-file.js';
import { type LineLogOptions, openLineLog } from './line-log.js';

export interface EventLog extends AsyncDisposable {
  /** Events so far; the next one gets this number. */
  readonly count: number;
  append(event: RunEvent): void;
  /** Tells how many events are with the operating system, whenever that changes: a crash of this process spares those. */
  onWritten(listener: (count: number) => void): void;
  /** Events from number `from` (0: all) up to the last one appended before the call. */
  readEvents(from: number): AsyncIterable<RunEvent>;
  /** Resolves when everything appended before is with the operating system. @throws RopeteamError STORAGE.WRITE */
  flush(): Promise<void>;
}

/** Opens an event log to append to, made when missing; disposing it puts everything on the disk. */
export async function openEventLog(
  path: string,
  options: Pick<LineLogOptions, 'onError' | 'takeOver' | 'mayWrite'> = {},
): Promise<EventLog> {
  let written: (count: number) => void = () => undefined;
  const log = await openLineLog(path, { ...options, onWritten: (count) => written(count) });
  return {
    onWritten: (listener) => {
      written = listener;
    },
    get count() {
      return log.lines;
    },
    append: (event) => log.append(JSON.stringify(event)),
    async *readEvents(from) {
      const end = log.lines;
      if (from >= end) return;
      await log.flush({ sync: false });
      yield* eventsOf(path, from, end);
    },
    flush: () => log.flush({ sync: false }),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
}

/**
 * Events `[from, end)` of a log that nobody need have open. A last line that a crash cut short is left out; a file that is missing holds none.
 * @param end default: all there are
 */
export async function* eventsOf(
  path: string,
  from: number,
  end = Number.POSITIVE_INFINITY,
): AsyncGenerator<RunEvent, void, undefined> {
  let number = 0;
  if (!existsSync(path)) return;
  for await (const line of linesOf(path)) {
    if (number >= from) yield JSON.parse(line) as RunEvent; // written by `append` above
    number++;
    if (number >= end) return;
  }
}

/** More than any one event takes: an error with twenty problems has some ten thousand bytes. */
const TAIL_BYTES = 1 << 18;

/** The newest event of a log, without reading all of it; undefined where there is none. */
export async function newestEvent(path: string): Promise<RunEvent | undefined> {
  try {
    await using file = await open(path, 'r');
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    await file.read(bytes, 0, bytes.length, size - bytes.length);
    const lines = bytes.toString('utf8').split('\n').slice(0, -1);
    const last = lines.at(-1);
    return last === undefined ? undefined : (JSON.parse(last) as RunEvent); // written by `append` above
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
