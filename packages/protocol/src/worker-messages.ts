/** Messages of a worker (SessionRequest) to and from the types of `#training`. */
import {
  type EvaluationReceipt,
  type GradientProof,
  type GradientReceipt,
  type LeaseProof,
  type LeaseReceipt,
  MOST_LEASE_STEPS,
  PROTOCOL_VERSION,
  RopeteamError,
  type WorkerHello,
  type WorkerMessage,
} from '#training';
import { splitNames, splits } from './dataset-message.js';
import { type Fields, invalidField, readMessage } from './fields.js';
import { checkGradientFrame, checkLeaseFrame, corrupt, decodeGradientFrame, decodeLeaseFrame } from './frames.js';
import {
  gradientReceipt,
  leaseReceipt,
  type MessageCodec,
  type PlainMessage,
  sessionRequest,
} from './proto-definitions.js';

/** What a worker may send; gradient frames have a codec of their own (`encodeGradientFrame`). */
export type WorkerWord =
  | { readonly kind: 'hello'; readonly hello: WorkerHello; readonly joinToken?: string }
  | WorkerMessage;

/** A word that is no frame. */
type PlainWord = Exclude<WorkerWord, { kind: 'gradient-frame' | 'lease-frame' }>;

export function encodeWorkerWord(word: PlainWord): Buffer {
  return sessionRequest.encode(toMessage(word));
}

function toMessage(word: PlainWord): PlainMessage {
  switch (word.kind) {
    case 'hello': {
      const { worker, ...rest } = word.hello;
      const token = word.joinToken === undefined ? {} : { joinToken: word.joinToken };
      return { hello: { workerId: worker, ...rest, ...token } };
    }
    case 'heartbeat':
      return { heartbeat: { residentBytes: word.residentBytes } };
    case 'run-ready':
      return { runReady: { runId: word.run, fence: word.fence, takesLeases: word.takesLeases } };
    case 'job-taken':
      return {
        jobTaken: {
          itemId: word.itemId,
          token: word.token,
          ...(word.holds === undefined ? {} : { holdsVersion: word.holds }),
        },
      };
    case 'evaluation-receipt': {
      const { run, worker, split, tally, ...rest } = word.receipt;
      const { cells: tallyCells, counts: tallyCounts, squaredErrorSum: dataSquaredErrorSum, ...tallySums } = tally;
      const names = { runId: run, workerId: worker, split: splitNames[split] };
      const sums = { ...tallySums, dataSquaredErrorSum };
      return { evaluationReceipt: { itemId: word.itemId, ...names, ...rest, tallyCells, tallyCounts, ...sums } };
    }
    case 'job-failed':
      return { jobFailed: { itemId: word.itemId, code: word.code, message: word.message.slice(0, REASON_CHARACTERS) } };
    case 'draining':
      return { draining: { reason: word.reason.slice(0, REASON_CHARACTERS) } };
    default:
      return word satisfies never;
  }
}

/** What goes with the last frame of a gradient. */
export function encodeGradientProof({ itemId, receipt }: GradientProof): Buffer {
  const { run, worker, ...rest } = receipt;
  return gradientReceipt.encode({ itemId, runId: run, workerId: worker, ...rest });
}

/** What goes with the last frame of what a lease left behind. */
export function encodeLeaseProof({ itemId, receipt }: LeaseProof): Buffer {
  const { run, worker, end, ...rest } = receipt;
  return leaseReceipt.encode({ itemId, runId: run, workerId: worker, endStep: end, ...rest });
}

const ITEM_CHARACTERS = 256;
const TOKEN_CHARACTERS = 256;
export const REASON_CHARACTERS = 4096;

/** Throws WIRE.CORRUPT (bytes, frames), USAGE.ARGUMENT (a field out of range) or WORKER.PROTOCOL_MISMATCH (a hello). */
export function decodeWorkerWord(bytes: Buffer): WorkerWord {
  const lease = decodeLeaseFrame(bytes);
  if (lease !== undefined) return leaseWord(lease);
  const gradient = decodeGradientFrame(bytes);
  if (gradient === undefined) return fromMessage(decodeBy(sessionRequest, bytes));
  const { frame, receipt } = gradient;
  if (receipt === undefined) return { kind: 'gradient-frame', frame };
  return { kind: 'gradient-frame', frame, proof: proofFrom(decodeBy(gradientReceipt, receipt)) };
}

function leaseWord({ frame, receipt }: NonNullable<ReturnType<typeof decodeLeaseFrame>>): WorkerWord {
  if (receipt === undefined) return { kind: 'lease-frame', frame };
  return { kind: 'lease-frame', frame, proof: leaseProofFrom(decodeBy(leaseReceipt, receipt)) };
}

function decodeBy(codec: MessageCodec, bytes: Buffer): PlainMessage {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw corrupt('a message of the worker', 'cannot be decoded', error);
  }
}

function proofFrom(message: unknown): GradientProof {
  const fields = readMessage(message, 'gradientReceipt');
  return { itemId: fields.text('itemId', ITEM_CHARACTERS), receipt: gradientReceiptFrom(fields) };
}

function leaseProofFrom(message: unknown): LeaseProof {
  const fields = readMessage(message, 'leaseReceipt');
  return { itemId: fields.text('itemId', ITEM_CHARACTERS), receipt: leaseReceiptFrom(fields) };
}

function fromMessage(message: PlainMessage): WorkerWord {
  const kind = message.message; // proto-loader's name for the field that is set in `oneof message`
  const fields = readMessage(typeof kind === 'string' ? message[kind] : undefined, String(kind ?? 'message'));
  switch (kind) {
    case 'hello':
      return helloWord(fields);
    case 'heartbeat':
      return { kind: 'heartbeat', residentBytes: fields.natural('residentBytes') };
    case 'runReady':
      return {
        kind: 'run-ready',
        run: fields.runId('runId'),
        fence: fields.fence('fence'),
        takesLeases: fields.flag('takesLeases'),
      };
    case 'jobTaken':
      return {
        kind: 'job-taken',
        itemId: fields.text('itemId', ITEM_CHARACTERS),
        token: fields.text('token', TOKEN_CHARACTERS),
        ...(fields.has('holdsVersion') ? { holds: fields.step('holdsVersion') } : {}),
      };
    case 'gradientFrame': {
      const frame = checkGradientFrame(message[kind]);
      const { receipt } = message[kind] as { receipt?: unknown }; // `readMessage` saw an object
      return { kind: 'gradient-frame', frame, ...(fields.has('receipt') ? { proof: proofFrom(receipt) } : {}) };
    }
    case 'leaseFrame': {
      const frame = checkLeaseFrame(message[kind]);
      const { receipt } = message[kind] as { receipt?: unknown }; // `readMessage` saw an object
      return { kind: 'lease-frame', frame, ...(fields.has('receipt') ? { proof: leaseProofFrom(receipt) } : {}) };
    }
    case 'evaluationReceipt':
      return {
        kind: 'evaluation-receipt',
        itemId: fields.text('itemId', ITEM_CHARACTERS),
        receipt: evaluationReceiptFrom(fields),
      };
    case 'jobFailed':
      return {
        kind: 'job-failed',
        itemId: fields.text('itemId', ITEM_CHARACTERS),
        code: fields.text('code', 64),
        message: fields.text('message', REASON_CHARACTERS),
      };
    case 'draining':
      return { kind: 'draining', reason: fields.text('reason', REASON_CHARACTERS) };
    default:
      throw invalidField('message', 'is of a kind this version does not know');
  }
}

function helloWord(fields: Fields): WorkerWord {
  const hello = helloFrom(fields);
  const joinToken = fields.text('joinToken', 64);
  return { kind: 'hello', hello, ...(joinToken === '' ? {} : { joinToken }) };
}

function helloFrom(fields: Fields): WorkerHello {
  // First of all: the other fields of a peer of another version may well look wrong.
  const protocolVersion = fields.natural('protocolVersion');
  if (protocolVersion !== PROTOCOL_VERSION) {
    throw protocolMismatch(`protocol ${PROTOCOL_VERSION}`, `protocol ${protocolVersion}`);
  }
  const metricsAddress = fields.text('metricsAddress', 262);
  if (!/^$|^[A-Za-z0-9._-]{1,255}:\d{1,5}$|^\[[\da-fA-F:.]{2,45}\]:\d{1,5}$/.test(metricsAddress)) {
    throw invalidField('metricsAddress', 'must be host:port');
  }
  return {
    worker: fields.workerId('workerId'),
    pid: fields.natural('pid'),
    protocolVersion,
    host: fields.text('host', 255),
    threads: fields.positive('threads'),
    kernelIds: fields.texts('kernelIds', 64),
    ...(metricsAddress === '' ? {} : { metricsAddress }),
  };
}

/** The two sides do not speak the same protocol. Names both. */
export function protocolMismatch(expected: string, found: string): RopeteamError<'WORKER.PROTOCOL_MISMATCH'> {
  const message = `the coordinator expects ${expected}, the worker sent ${found}`;
  return new RopeteamError('WORKER.PROTOCOL_MISMATCH', { expected, found }, message, {
    hint: 'Run the same version of ropeteam on both sides.',
  });
}

function gradientReceiptFrom(fields: Fields): GradientReceipt {
  const block = fields.message('block');
  return {
    run: fields.runId('runId'),
    fence: fields.fence('fence'),
    step: fields.step('step'),
    block: { begin: block.natural('begin'), end: block.natural('end') },
    worker: fields.workerId('workerId'),
    attempt: fields.positive('attempt'),
    ...sumsFrom(fields),
    gradientHash: hashFrom(fields, 'gradientHash'),
    computeMs: durationFrom(fields, 'computeMs'),
    waitedMs: durationFrom(fields, 'waitedMs'),
  };
}

function leaseReceiptFrom(fields: Fields): LeaseReceipt {
  const steps = fields.messages('steps');
  if (steps.length > MOST_LEASE_STEPS) throw invalidField(`${fields.path}.steps`, `has more than ${MOST_LEASE_STEPS}`);
  return {
    run: fields.runId('runId'),
    fence: fields.fence('fence'),
    step: fields.step('step'),
    end: fields.positive('endStep'),
    worker: fields.workerId('workerId'),
    attempt: fields.positive('attempt'),
    startHash: hashFrom(fields, 'startHash'),
    steps: steps.map((step) => ({
      ...sumsFrom(step),
      gradientNorm: step.double('gradientNorm'),
      gradientHash: hashFrom(step, 'gradientHash'),
      weightsHash: hashFrom(step, 'weightsHash'),
      finite: step.flag('finite'),
    })),
    computeMs: durationFrom(fields, 'computeMs'),
    waitedMs: durationFrom(fields, 'waitedMs'),
  };
}

function evaluationReceiptFrom(fields: Fields): EvaluationReceipt {
  return {
    run: fields.runId('runId'),
    fence: fields.fence('fence'),
    version: fields.step('version'),
    split: fields.choice('split', splits),
    part: fields.natural('part'),
    worker: fields.workerId('workerId'),
    ...sumsFrom(fields),
    tally: tallyFrom(fields),
  };
}

function tallyFrom(fields: Fields): EvaluationReceipt['tally'] {
  const cells = fields.naturals('tallyCells');
  const counts = fields.naturals('tallyCounts');
  if (cells.length !== counts.length)
    throw invalidField(`${fields.path}.tallyCounts`, `has ${counts.length} numbers for ${cells.length} cells`);
  return {
    cells,
    counts,
    absoluteErrorSum: fields.double('absoluteErrorSum'),
    squaredErrorSum: fields.double('dataSquaredErrorSum'),
    logLossSum: fields.double('logLossSum'),
  };
}

/** Losses are any double: one that is not finite is the coordinator's to see, it ends the run (RUN.NONFINITE). */
function sumsFrom(fields: Fields) {
  return {
    sampleCount: fields.natural('sampleCount'),
    lossSum: fields.double('lossSum'),
    correctCount: fields.natural('correctCount'),
    squaredErrorSum: fields.double('squaredErrorSum'),
    targetSum: fields.double('targetSum'),
    targetSquareSum: fields.double('targetSquareSum'),
  };
}

function hashFrom(fields: Fields, name: string): string {
  const hash = fields.text(name, 16);
  if (/^[0-9a-f]{16}$/.test(hash)) return hash;
  throw invalidField(`${fields.path}.${name}`, 'must be 16 hexadecimal digits');
}

function durationFrom(fields: Fields, name: string): number {
  const duration = fields.finite(name);
  if (duration >= 0) return duration;
  throw invalidField(`${fields.path}.${name}`, `must not be negative, received ${duration}`);
}
