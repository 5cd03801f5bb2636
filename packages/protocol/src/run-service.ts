/** The coordinator's end of RunService. */
import type { ServerReadableStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import {
  type Caller,
  type CallRecord,
  type CoordinatorHandlers,
  RopeteamError,
  type RunId,
  runId,
  startEventLimit,
} from '#training';
import { callOver } from './calls.js';
import { toStatus } from './error-status.js';
import { invalidField } from './fields.js';
import { pacedWriter } from './paced-writer.js';
import {
  listRunsResponse,
  resumeRunRequest,
  resumeRunResponse,
  stopRunRequest,
  stopRunResponse,
  submitRunResponse,
  watchRunRequest,
} from './proto-definitions.js';
import { decodeMessage, encodeNumberedEvent, optionalRunId, summaryToMessage } from './run-messages.js';
import { type Clock, watchSilence } from './silence-watch.js';
import { type ReceivedSubmission, receiveSubmission, type UploadLimits } from './uploads.js';

export interface RunServiceSettings {
  readonly handlers: Pick<CoordinatorHandlers, 'submit' | 'listRuns' | 'watch' | 'stop' | 'resume'>;
  readonly uploadsDirectory: string;
  readonly limits: UploadLimits;
  /** Submissions that are being received at a time. */
  readonly maxUploads: number;
  readonly callerOf: (peer: string) => Caller;
  readonly onCall: (record: CallRecord) => void;
  readonly clock: Clock;
  /** Aborts when the server closes: watchers are sent home. */
  readonly closing: AbortSignal;
  /** An error that is not a RopeteamError: a bug of ours, to be logged. */
  readonly unexpected: (error: unknown, method: string) => void;
}

type Answer = sendUnaryData<Uint8Array>;
type MutatingCall = 'submitRun' | 'stopRun' | 'resumeRun';

/** Milliseconds in which an upload must bring at least so many bytes, or else it is given up and its folder removed. */
const UPLOAD_SILENCE_MS = 30_000;
const UPLOAD_PROGRESS_BYTES = 16 << 10;
/** Milliseconds without that much after which an upload may lose its place to another. */
const UPLOAD_REST_MS = 1_000;

/** Handlers of every method, named as in the service definition. */
export function createRunService(settings: RunServiceSettings) {
  const { handlers, unexpected } = settings;

  const uploads = uploadRoom(settings.maxUploads, settings.clock);

  interface Asked {
    readonly call: { readonly cancelled: boolean; getPeer(): string };
    readonly method: MutatingCall | 'listRuns';
    readonly callback: Answer;
  }

  /** Sends what `work` returns, or the status of what it throws; who changed what is told to `onCall`. */
  const answer = ({ call, method, callback }: Asked, work: (about: (run: RunId) => void) => Promise<Uint8Array>) => {
    const caller = settings.callerOf(call.getPeer());
    let subject: { readonly subject?: RunId } = {};
    const tell = (outcome: CallRecord['outcome']) => {
      if (method !== 'listRuns') settings.onCall({ caller, call: method, ...subject, outcome });
    };
    const about = (run: RunId) => {
      subject = { subject: run };
    };
    work(about).then(
      (bytes) => {
        tell('done');
        callback(null, bytes);
      },
      (error: unknown) => {
        if (error instanceof RopeteamError) tell(error.code);
        if (call.cancelled) return; // the caller went away, and what that broke is cleared up
        const status = toStatus(error);
        if (!(error instanceof RopeteamError)) unexpected(error, method);
        callback(status);
      },
    );
  };

  return {
    submitRun: (call: ServerReadableStream<Buffer, Uint8Array>, callback: Answer) =>
      answer({ call, method: 'submitRun', callback }, async (about) => {
        const { submission, discard } = await received(call, settings, uploads);
        try {
          const summary = await handlers.submit(submission);
          about(runId(summary.run));
          return submitRunResponse.encode({ run: summaryToMessage(summary) });
        } catch (error) {
          await discard();
          throw error;
        }
      }),

    listRuns: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer({ call, method: 'listRuns', callback }, async () =>
        listRunsResponse.encode({ runs: (await handlers.listRuns()).map(summaryToMessage) }),
      ),

    stopRun: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer({ call, method: 'stopRun', callback }, async (about) => {
        const fields = decodeMessage(stopRunRequest, call.request, 'a StopRunRequest');
        const run = fields.runId('runId');
        about(run);
        const summary = await handlers.stop(run, fields.text('reason', 1024));
        return stopRunResponse.encode({ run: summaryToMessage(summary) });
      }),

    resumeRun: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer({ call, method: 'resumeRun', callback }, async (about) => {
        const run = decodeMessage(resumeRunRequest, call.request, 'a ResumeRunRequest').runId('runId');
        about(run);
        return resumeRunResponse.encode({ run: summaryToMessage(await handlers.resume(run)) });
      }),

    watchRun: (call: ServerWritableStream<Buffer, Uint8Array>) => {
      const over = AbortSignal.any([callOver(call), settings.closing]);
      const watch = async () => {
        const fields = decodeMessage(watchRunRequest, call.request, 'a WatchRunRequest');
        const writer = pacedWriter(call, over);
        const passes = fields.flag('everyStep') ? () => true : startEventLimit();
        let number = fields.natural('from');
        for await (const event of handlers.watch(optionalRunId(fields), number, over)) {
          if (passes(event)) await writer.write(encodeNumberedEvent({ number, event }));
          number++;
        }
      };
      const finish = (error?: unknown) => {
        // The events may just have stopped because we close: the watcher must not take that for the run's end.
        if (settings.closing.aborted) return void call.emit('error', toStatus(settings.closing.reason));
        if (error === undefined) return void call.end();
        if (over.aborted) return; // the watcher went away; there is nobody left to tell
        const status = toStatus(error);
        if (!(error instanceof RopeteamError)) unexpected(error, 'watchRun');
        call.emit('error', status);
      };
      watch().then(() => finish(), finish);
    },
  };
}

interface Upload {
  moved(): void;
  left(): void;
}

/** Lets in as many uploads at a time, and for one more sends home the one that has rested longest, if it rests. */
function uploadRoom(most: number, clock: Clock): (sendHome: () => void) => Upload {
  const present = new Map<() => void, number>();
  return (sendHome) => {
    const [longest, restsSince] = [...present].reduce<readonly [(() => void) | undefined, number]>(
      (before, [one, since]) => (since < before[1] ? [one, since] : before),
      [undefined, Number.POSITIVE_INFINITY],
    );
    if (present.size >= most) {
      if (longest === undefined || clock.now() - restsSince < UPLOAD_REST_MS) throw tooManyUploads(most);
      present.delete(longest);
      longest();
    }
    present.set(sendHome, clock.now());
    return {
      moved: () => void (present.has(sendHome) && present.set(sendHome, clock.now())),
      left: () => void present.delete(sendHome),
    };
  };
}

async function received(
  call: ServerReadableStream<Buffer, Uint8Array>,
  { uploadsDirectory, limits, clock, maxUploads }: RunServiceSettings,
  uploads: ReturnType<typeof uploadRoom>,
): Promise<ReceivedSubmission> {
  const upload = uploads(() => call.destroy(tooManyUploads(maxUploads)));
  const stalled = () => call.destroy(invalidField('fileChunk', `did not come for ${UPLOAD_SILENCE_MS} ms`));
  const silence = watchSilence(UPLOAD_SILENCE_MS, stalled, clock);
  const heard = () => {
    silence.heard();
    upload.moved();
  };
  try {
    return await receiveSubmission(inProgress(call, heard), uploadsDirectory, limits);
  } finally {
    silence.stop();
    upload.left();
  }
}

/** A trickle of a byte now and then keeps nothing open. */
async function* inProgress(
  messages: AsyncIterable<Buffer>,
  heard: () => void,
): AsyncGenerator<Buffer, void, undefined> {
  let bytes = 0;
  for await (const message of messages) {
    bytes += message.length;
    if (bytes >= UPLOAD_PROGRESS_BYTES) {
      heard();
      bytes = 0;
    }
    yield message;
  }
}

function tooManyUploads(limit: number): RopeteamError {
  const message = 'too many submissions are being uploaded, and this one has to wait';
  return new RopeteamError('DATA.LIMIT', { file: 'submission', limit }, message, { hint: 'Submit again in a moment.' });
}
