/** `events.ndjson`: a run's events, one JSON object a line, kept for whoever watches later. */
import { createReadStream } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import type { RopeteamError, RunEvent } from '#training';
import { openLineLog } from './line-log.js';

export interface EventLog extends AsyncDisposable {
  /** Events so far; the next one gets this number. */
  readonly count: number;
  append(event: RunEvent): void;
  /** Events from number `from` (0: all) up to the last one appended before the call. */
  readEvents(from: number): AsyncIterable<RunEvent>;
  /** Resolves when everything appended before is with the operating system. @throws RopeteamError STORAGE.WRITE */
  flush(): Promise<void>;
}

/** Opens an event log to append to, made when missing; disposing it puts everything on the disk. */
export async function openEventLog(
  path: string,
  options: { readonly onError?: (error: RopeteamError) => void } = {},
): Promise<EventLog> {
  const log = await openLineLog(path, options);
  return {
    get count() {
      return log.lines;
    },
    append: (event) => log.append(JSON.stringify(event)),
    async *readEvents(from) {
      const end = log.lines;
      if (from >= end) return;
      await log.flush({ sync: false });
      let number = 0;
      for await (const line of linesOf(path)) {
        if (number >= from) yield JSON.parse(line) as RunEvent; // written by `append` above
        number++;
        if (number >= end) return;
      }
    },
    flush: () => log.flush({ sync: false }),
    [Symbol.asyncDispose]: () => log[Symbol.asyncDispose](),
  };
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
