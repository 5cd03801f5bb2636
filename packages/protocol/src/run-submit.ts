/** Uploads a job and its files. */
import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { type ClientWritableStream, Metadata, type ServiceError } from '@grpc/grpc-js';
import { FRAME_BYTES, RopeteamError, type RunSummary } from '#training';
import { callOver } from './calls.js';
import type { Channel } from './channel.js';
import { fromStatus, unreachable } from './error-status.js';
import { type PacedWriter, pacedWriter } from './paced-writer.js';
import { runMethods, submitRunRequest, submitRunResponse } from './proto-definitions.js';
import { decodeMessage, summaryFromMessage } from './run-messages.js';

/** A job and the files it names, as they lie on this machine. */
export interface LocalSubmission {
  readonly jobText: string;
  /** Name of the job file, for error messages. */
  readonly jobFile: string;
  readonly runId?: string;
  /** `path` as the job file writes it, and where that is here. Empty: the coordinator reads the paths itself. */
  readonly files: readonly LocalFile[];
  /** Weights to start from, and the `model.json` beside them; `path` is what they are called in messages. */
  readonly initFrom?: { readonly weights: LocalFile; readonly model?: LocalFile };
}

export interface LocalFile {
  readonly path: string;
  readonly absolutePath: string;
}

/** Milliseconds a message may wait for the coordinator to take it. */
const STALL_MS = 30_000;

/** Sends everything, a few chunks at a time, and returns the coordinator's answer. Throws DATA.FILE for a local file. */
export async function submitRun(
  channel: Channel,
  submission: LocalSubmission,
  answerDeadlineMs: number,
): Promise<RunSummary> {
  const { call, answer } = startCall(channel);
  const over = callOver(call);
  let stalled = false;
  const timer = setTimeout(() => {
    stalled = true;
    call.cancel();
  }, STALL_MS);
  const sent = send(submission, pacedWriter(call, over), () => timer.refresh()).then(() => call.end());
  try {
    await Promise.race([sent, answer]);
    clearTimeout(timer);
    const bytes = await withDeadline(answer, answerDeadlineMs, channel.address);
    return summaryFromMessage(decodeMessage(submitRunResponse, bytes, 'the answer to a submission').message('run'));
  } catch (error) {
    const message = `the coordinator at ${channel.address} took no byte of the upload for ${STALL_MS} ms`;
    if (stalled) throw unreachable(channel.address, message, error);
    // Sending broke because the call ended: then its status, a refusal perhaps, is the explanation.
    throw over.aborted && !(error instanceof RopeteamError) ? await answer.then(() => error) : error;
  } finally {
    clearTimeout(timer);
    call.cancel();
  }
}

function startCall(channel: Channel): { call: ClientWritableStream<Uint8Array>; answer: Promise<Buffer> } {
  const { path, requestSerialize, responseDeserialize } = runMethods.submitRun;
  let started: ClientWritableStream<Uint8Array> | undefined;
  const answer = new Promise<Buffer>((resolve, reject) => {
    const settle = (error: ServiceError | null, response?: Buffer) => {
      if (error !== null) reject(fromStatus(error, channel.address));
      else if (response !== undefined) resolve(response);
      else reject(unreachable(channel.address, 'the upload ended without an answer'));
    };
    const { client } = channel;
    started = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, new Metadata(), settle);
  });
  if (started === undefined) throw new Error('a promise runs its executor at once');
  return { call: started, answer };
}

async function send(submission: LocalSubmission, writer: PacedWriter, progress: () => void): Promise<void> {
  const { jobText, jobFile, runId, files, initFrom } = submission;
  const write = async (message: Record<string, unknown>) => {
    await writer.write(submitRunRequest.encode(message));
    progress();
  };
  const parts = [
    ...files.map((file) => ({ begins: 'fileBegin', file })),
    ...(initFrom === undefined ? [] : [{ begins: 'initialWeightsBegin', file: initFrom.weights }]),
    ...(initFrom?.model === undefined ? [] : [{ begins: 'initialModelBegin', file: initFrom.model }]),
  ];
  await write({ header: { jobText, jobFile, files: parts.length, ...(runId === undefined ? {} : { runId }) } });
  for (const { begins, file } of parts) {
    await using handle = await openFile(file.absolutePath);
    const { size } = await handle.stat();
    await write({ [begins]: { path: file.path, bytes: size } });
    await sendBytes(handle, size, (payload) => write({ fileChunk: { payload, crc32: crc32(payload) } }));
  }
  await writer.flushed();
}

/** Exactly the size announced: a file that grows meanwhile is cut there, one that shrinks is noticed at the other end. */
async function sendBytes(handle: FileHandle, size: number, write: (payload: Buffer) => Promise<void>): Promise<void> {
  for (let at = 0; at < size; ) {
    const chunk = Buffer.allocUnsafe(Math.min(FRAME_BYTES, size - at));
    const { bytesRead } = await handle.read(chunk, 0, chunk.length, at);
    if (bytesRead === 0) break;
    await write(chunk.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function openFile(file: string) {
  try {
    return await open(file, 'r');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RopeteamError('DATA.FILE', { file }, `cannot read ${file}: ${why}`, {
      hint: 'Correct the path in the job file.',
      cause: error,
    });
  }
}

async function withDeadline<Value>(promise: Promise<Value>, deadlineMs: number, address: string): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    const message = `the coordinator at ${address} did not answer a submission within ${deadlineMs} ms`;
    timer = setTimeout(() => reject(unreachable(address, message)), deadlineMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
