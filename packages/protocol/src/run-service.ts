/** The coordinator's end of RunService. */
import type { ServerReadableStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { type CoordinatorHandlers, RopeteamError, startEventLimit } from '#training';
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
import { type Clock, type SilenceWatch, watchSilence } from './silence-watch.js';
import { type ReceivedSubmission, receiveSubmission, type UploadLimits } from './uploads.js';

export interface RunServiceSettings {
  readonly handlers: Pick<CoordinatorHandlers, 'submit' | 'listRuns' | 'watch' | 'stop' | 'resume'>;
  readonly uploadsDirectory: string;
  readonly limits: UploadLimits;
  readonly clock: Clock;
  /** Aborts when the server closes: watchers are sent home. */
  readonly closing: AbortSignal;
  /** An error that is not a RopeteamError: a bug of ours, to be logged. */
  readonly unexpected: (error: unknown, method: string) => void;
}

type Answer = sendUnaryData<Uint8Array>;

/** Milliseconds without a byte after which an upload is given up and its folder removed. */
const UPLOAD_SILENCE_MS = 30_000;

/** Handlers of every method, named as in the service definition. */
export function createRunService(settings: RunServiceSettings) {
  const { handlers, unexpected } = settings;

  /** Sends what `work` returns, or the status of what it throws. */
  const answer = (call: { cancelled: boolean }, method: string, callback: Answer, work: () => Promise<Uint8Array>) => {
    work().then(
      (bytes) => callback(null, bytes),
      (error: unknown) => {
        if (call.cancelled) return; // the caller went away, and what that broke is cleared up
        const status = toStatus(error);
        if (!(error instanceof RopeteamError)) unexpected(error, method);
        callback(status);
      },
    );
  };

  return {
    submitRun: (call: ServerReadableStream<Buffer, Uint8Array>, callback: Answer) =>
      answer(call, 'SubmitRun', callback, async () => {
        const { submission, discard } = await received(call, settings);
        try {
          return submitRunResponse.encode({ run: summaryToMessage(await handlers.submit(submission)) });
        } catch (error) {
          await discard();
          throw error;
        }
      }),

    listRuns: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer(call, 'ListRuns', callback, async () =>
        listRunsResponse.encode({ runs: (await handlers.listRuns()).map(summaryToMessage) }),
      ),

    stopRun: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer(call, 'StopRun', callback, async () => {
        const fields = decodeMessage(stopRunRequest, call.request, 'a StopRunRequest');
        const summary = await handlers.stop(fields.runId('runId'), fields.text('reason', 1024));
        return stopRunResponse.encode({ run: summaryToMessage(summary) });
      }),

    resumeRun: (call: ServerUnaryCall<Buffer, Uint8Array>, callback: Answer) =>
      answer(call, 'ResumeRun', callback, async () => {
        const fields = decodeMessage(resumeRunRequest, call.request, 'a ResumeRunRequest');
        return resumeRunResponse.encode({ run: summaryToMessage(await handlers.resume(fields.runId('runId'))) });
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
        if (!(error instanceof RopeteamError)) unexpected(error, 'WatchRun');
        call.emit('error', status);
      };
      watch().then(() => finish(), finish);
    },
  };
}

async function received(
  call: ServerReadableStream<Buffer, Uint8Array>,
  { uploadsDirectory, limits, clock }: RunServiceSettings,
): Promise<ReceivedSubmission> {
  const stalled = () => call.destroy(invalidField('fileChunk', `did not come for ${UPLOAD_SILENCE_MS} ms`));
  const silence = watchSilence(UPLOAD_SILENCE_MS, stalled, clock);
  try {
    return await receiveSubmission(heard(call, silence), uploadsDirectory, limits);
  } finally {
    silence.stop();
  }
}

async function* heard(messages: AsyncIterable<Buffer>, silence: SilenceWatch): AsyncGenerator<Buffer, void, undefined> {
  for await (const message of messages) {
    silence.heard();
    yield message;
  }
}
