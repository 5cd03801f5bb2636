/** Messages of RunService to and from the types of `#training`. */
import type { RunEvent, RunId, RunSummary } from '#training';
import { type Fields, inverted, readMessage } from './fields.js';
import { corrupt } from './frames.js';
import { type MessageCodec, type PlainMessage, watchRunResponse } from './proto-definitions.js';

const states = {
  RUN_STATE_QUEUED: 'queued',
  RUN_STATE_PREPARING: 'preparing',
  RUN_STATE_TRAINING: 'training',
  RUN_STATE_STOPPING: 'stopping',
  RUN_STATE_FINISHED: 'finished',
  RUN_STATE_FAILED: 'failed',
} as const satisfies Record<string, RunSummary['state']>;

export function summaryToMessage(summary: RunSummary): PlainMessage {
  const { run, state, loss, ...rest } = summary;
  const finiteLoss = loss !== undefined && Number.isFinite(loss) ? { loss } : {};
  return { runId: run, state: inverted(states)[state], ...finiteLoss, ...rest };
}

export function summaryFromMessage(fields: Fields): RunSummary {
  return {
    run: fields.runId('runId'),
    job: fields.text('job', 4096),
    state: fields.choice('state', states),
    step: fields.natural('step'),
    steps: fields.natural('steps'),
    ...(fields.has('loss') ? { loss: fields.finite('loss') } : {}),
    submittedAt: fields.text('submittedAt', 64),
    runPath: fields.text('runPath', 8192),
    ...(fields.has('weightsSha256') ? { weightsSha256: fields.text('weightsSha256', 64) } : {}),
    ...(fields.has('waitingFor') ? { waitingFor: fields.text('waitingFor', 4096) } : {}),
  };
}

/** Decodes one message with its library codec. Throws WIRE.CORRUPT. */
export function decodeMessage(codec: MessageCodec, bytes: Buffer, what: string): Fields {
  let message: PlainMessage;
  try {
    message = codec.decode(bytes);
  } catch (error) {
    throw corrupt(what, 'cannot be decoded', error);
  }
  return readMessage(message, '');
}

export function optionalRunId(fields: Fields): RunId | undefined {
  return fields.has('runId') ? fields.runId('runId') : undefined;
}

/** An event and its number within its run, from 0. */
export interface NumberedEvent {
  readonly number: number;
  readonly event: RunEvent;
}

export function encodeNumberedEvent({ number, event }: NumberedEvent): Buffer {
  return watchRunResponse.encode({ number, eventJson: JSON.stringify(event) });
}

/** Throws WIRE.CORRUPT. */
export function decodeNumberedEvent(bytes: Buffer): NumberedEvent {
  const fields = decodeMessage(watchRunResponse, bytes, 'an event');
  const number = fields.natural('number');
  let event: unknown;
  try {
    event = JSON.parse(fields.text('eventJson', 4 << 20));
  } catch (error) {
    throw corrupt(`event ${number}`, 'is not JSON', error);
  }
  if (!isEvent(event)) throw corrupt(`event ${number}`, 'has no event, time or run');
  return { number, event };
}

/** Its fields are the coordinator's to guarantee; a kind that a newer one added is passed on as it is. */
function isEvent(value: unknown): value is RunEvent {
  if (typeof value !== 'object' || value === null) return false;
  const { event, time, run } = value as Partial<Record<'event' | 'time' | 'run', unknown>>;
  return typeof event === 'string' && typeof time === 'string' && typeof run === 'string';
}
