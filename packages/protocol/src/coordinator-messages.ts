/** Messages of the coordinator (SessionResponse) to and from the types of `#training`. */
import type { CoordinatorMessage } from '#training';
import { invalidField, readMessage } from './fields.js';
import { checkWeightsFrame, corrupt, decodeStateFrame, decodeWeightsFrame } from './frames.js';
import { planFromMessage, planToMessage } from './plan-message.js';
import { type PlainMessage, sessionResponse } from './proto-definitions.js';
import { REASON_CHARACTERS } from './worker-messages.js';

/** What a coordinator may send; the last two stay inside this package. Weights frames have a codec of their own. */
export type CoordinatorWord =
  | CoordinatorMessage
  | { readonly kind: 'heartbeat-answer' }
  | { readonly kind: 'goodbye'; readonly reason: string };

export type PlainWord = Exclude<CoordinatorWord, { kind: 'weights-frame' | 'state-frame' }>;

export function encodeCoordinatorWord(word: PlainWord): Buffer {
  return sessionResponse.encode(toMessage(word));
}

function toMessage(word: PlainWord): PlainMessage {
  switch (word.kind) {
    case 'welcome': {
      const { coordinator, heartbeatMs, silenceMs } = word;
      return { welcome: { coordinator, heartbeatMs, silenceMs } };
    }
    case 'heartbeat-answer':
      return { heartbeatAnswer: {} };
    case 'run-started':
      return { runStarted: { plan: planToMessage(word.plan) } };
    case 'run-ended':
      return { runEnded: { runId: word.run, fence: word.fence } };
    case 'release-item':
      return { releaseItem: { itemId: word.itemId } };
    case 'goodbye':
      return { goodbye: { reason: word.reason.slice(0, REASON_CHARACTERS) } };
    default:
      return word satisfies never;
  }
}

/** Throws WIRE.CORRUPT (bytes, frames) or USAGE.ARGUMENT (a field out of range). */
export function decodeCoordinatorWord(bytes: Buffer): CoordinatorWord {
  const frame = decodeWeightsFrame(bytes);
  if (frame !== undefined) return { kind: 'weights-frame', frame };
  const state = decodeStateFrame(bytes);
  if (state !== undefined) return { kind: 'state-frame', frame: state };
  let message: PlainMessage;
  try {
    message = sessionResponse.decode(bytes);
  } catch (error) {
    throw corrupt('a message of the coordinator', 'cannot be decoded', error);
  }
  return fromMessage(message);
}

function fromMessage(message: PlainMessage): CoordinatorWord {
  const kind = message.message; // proto-loader's name for the field that is set in `oneof message`
  const fields = readMessage(typeof kind === 'string' ? message[kind] : undefined, String(kind ?? 'message'));
  switch (kind) {
    case 'welcome':
      return {
        kind: 'welcome',
        coordinator: fields.text('coordinator', 255),
        heartbeatMs: fields.positive('heartbeatMs', 3_600_000),
        silenceMs: fields.positive('silenceMs', 3_600_000),
      };
    case 'heartbeatAnswer':
      return { kind: 'heartbeat-answer' };
    case 'runStarted':
      return { kind: 'run-started', plan: planFromMessage(fields.message('plan')) };
    case 'runEnded':
      return { kind: 'run-ended', run: fields.runId('runId'), fence: fields.fence('fence') };
    case 'releaseItem':
      return { kind: 'release-item', itemId: fields.text('itemId', 255) };
    case 'weightsFrame':
      return { kind: 'weights-frame', frame: checkWeightsFrame(message[kind]) };
    case 'stateFrame':
      return { kind: 'state-frame', frame: checkWeightsFrame(message[kind], 'stateFrame') };
    case 'goodbye':
      return { kind: 'goodbye', reason: fields.text('reason', REASON_CHARACTERS) };
    default:
      throw invalidField('message', 'is of a kind this version does not know');
  }
}
