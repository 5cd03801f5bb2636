/**
 * Errors on the wire: each code's gRPC status and whether trying again can help, and both conversions.
 *
 * A RopeteamError travels as a status plus its envelope, JSON in the trailer `ropeteam-error-bin`.
 */
import { Metadata, type ServiceError, type StatusObject, status } from '@grpc/grpc-js';
import { type ErrorCode, type ErrorEnvelope, fromEnvelope, RopeteamError, toEnvelope } from '#training';

interface Answer {
  readonly status: Exclude<keyof typeof status, 'OK'>;
  /** The same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;
}

const wrongInput: Answer = { status: 'INVALID_ARGUMENT', retryable: false };
const wrongState: Answer = { status: 'FAILED_PRECONDITION', retryable: false };
const brokenBytes: Answer = { status: 'DATA_LOSS', retryable: true };
const notThere: Answer = { status: 'UNAVAILABLE', retryable: true };

const answers: { readonly [Code in ErrorCode]: Answer } = {
  'CONFIG.SYNTAX': wrongInput,
  'CONFIG.UNKNOWN_KEY': wrongInput,
  'CONFIG.TYPE': wrongInput,
  'CONFIG.RANGE': wrongInput,
  'CONFIG.CONFLICT': wrongInput,
  'CONFIG.VERSION': wrongInput,
  'CONFIG.FILE': wrongInput,
  'CONFIG.SEVERAL': wrongInput,
  'DATA.FILE': wrongInput,
  'DATA.OUTSIDE_ROOT': { status: 'PERMISSION_DENIED', retryable: false },
  'DATA.FORMAT': wrongInput,
  'DATA.ROW': wrongInput,
  'DATA.CELL': wrongInput,
  'DATA.LABEL': wrongInput,
  'DATA.COLUMN': wrongInput,
  'DATA.TOO_FEW': wrongInput,
  'DATA.LIMIT': { status: 'RESOURCE_EXHAUSTED', retryable: false },
  'DATA.SHARD': { status: 'DATA_LOSS', retryable: false },
  'DATA.CHANGED': wrongState,
  'MODEL.INIT': wrongInput,
  'MODEL.SHAPE': wrongInput,
  'MODEL.EXPORT': { status: 'FAILED_PRECONDITION', retryable: false },
  'MODEL.TOO_LARGE': { status: 'RESOURCE_EXHAUSTED', retryable: false },
  'RUN.UNKNOWN': { status: 'NOT_FOUND', retryable: false },
  'RUN.EXISTS': { status: 'ALREADY_EXISTS', retryable: false },
  'RUN.NONFINITE': wrongState,
  'RUN.POISON_BLOCK': wrongState,
  'RUN.FAILED': wrongState,
  'RUN.STOPPED': wrongState,
  'RUN.NOT_RESUMABLE': wrongState,
  'STORAGE.CORRUPT': { status: 'DATA_LOSS', retryable: false },
  'STORAGE.WRITE': { status: 'INTERNAL', retryable: false },
  'STORAGE.OBJECT': notThere,
  'REDIS.UNREACHABLE': notThere,
  'REDIS.VERSION': wrongState,
  'REDIS.EVICTION_POLICY': wrongState,
  'REDIS.NOT_FOUND': wrongState,
  'REDIS.OUT_OF_MEMORY': notThere,
  'COORDINATOR.UNREACHABLE': notThere,
  'COORDINATOR.ADDRESS': wrongInput,
  'COORD.HELD': wrongState,
  // Whoever asks again will find the one that took over.
  'COORD.FENCED': notThere,
  'COORD.CRASH_LOOP': wrongState,
  'INTEGRITY.REPLAY': wrongState,
  'INTEGRITY.DISAGREEMENT': wrongState,
  'AUTH.CERTIFICATE': { status: 'UNAUTHENTICATED', retryable: false },
  'AUTH.HANDSHAKE': notThere,
  'AUTH.NAME': { status: 'PERMISSION_DENIED', retryable: false },
  'AUTH.JOIN': { status: 'UNAUTHENTICATED', retryable: false },
  'AUTH.ROLE': { status: 'PERMISSION_DENIED', retryable: false },
  'AUTH.TLS_REQUIRED': { status: 'UNAUTHENTICATED', retryable: false },
  'WORKER.KERNEL_MISMATCH': wrongState,
  'WORKER.PROTOCOL_MISMATCH': wrongState,
  'WORKER.REPLACED': wrongState,
  'WIRE.CORRUPT': brokenBytes,
  'WIRE.STATUS': { status: 'UNKNOWN', retryable: false },
  'USAGE.ARGUMENT': wrongInput,
  'ENVIRONMENT.PROCESS': { status: 'INTERNAL', retryable: false },
  'ENVIRONMENT.KERNEL': { status: 'INTERNAL', retryable: false },
  'ENVIRONMENT.LIMIT': { status: 'RESOURCE_EXHAUSTED', retryable: false },
};

/** Whether the same call may succeed later without anybody changing anything. */
export function isRetryable(error: RopeteamError): boolean {
  return answerTo(error).retryable;
}

function answerTo(error: RopeteamError): Answer {
  // A newer peer may send a code this table does not know.
  return Object.hasOwn(answers, error.code) ? answers[error.code] : { status: 'UNKNOWN', retryable: false };
}

const TRAILER = 'ropeteam-error-bin';
/** HTTP/2 peers accept 64 KiB of headers; gRPC proxies often only 8 KiB. Base64 adds a third. */
const ENVELOPE_BYTES = 5 << 10;
const DETAILS_CHARACTERS = 1024;

/** What the peer is told. An error that is not a RopeteamError tells it nothing but that it happened. */
export function toStatus(error: unknown): StatusObject {
  if (!(error instanceof RopeteamError)) {
    return { code: status.INTERNAL, details: 'the coordinator failed; its log says why', metadata: new Metadata() };
  }
  const metadata = new Metadata();
  metadata.set(TRAILER, packed(toEnvelope(error)));
  return {
    code: status[answerTo(error).status],
    details: wellFormed(error.message).slice(0, DETAILS_CHARACTERS),
    metadata,
  };
}

/** As many of an error's problems as fit; `CONFIG.SEVERAL` says in its facts how many there are. */
function packed(envelope: ErrorEnvelope): Buffer {
  for (let kept = envelope.problems?.length ?? 0; kept > 0; kept = Math.floor(kept / 2)) {
    const bytes = Buffer.from(JSON.stringify({ ...envelope, problems: envelope.problems?.slice(0, kept) }));
    if (bytes.length <= ENVELOPE_BYTES) return bytes;
  }
  const { problems: _dropped, ...alone } = envelope;
  const bytes = Buffer.from(JSON.stringify(alone));
  if (bytes.length <= ENVELOPE_BYTES) return bytes;
  return Buffer.from(
    JSON.stringify({ code: alone.code, message: alone.message.slice(0, DETAILS_CHARACTERS), facts: {} }),
  );
}

/** Half a surrogate pair, from a text cut in the middle, would make grpc-js throw while it writes the status. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\uFFFD');
}

/**
 * The error behind a call's end, with the envelope if there is one.
 * @param address of the coordinator, for errors that never got there
 */
export function fromStatus(error: ServiceError, address: string): RopeteamError {
  const [packedEnvelope] = error.metadata?.get(TRAILER) ?? [];
  if (Buffer.isBuffer(packedEnvelope)) {
    const envelope = unpacked(packedEnvelope);
    if (envelope !== undefined) return fromEnvelope(envelope);
  }
  switch (error.code) {
    case status.UNAVAILABLE:
      return unreachable(address, `lost the connection to the coordinator at ${address}: ${error.details}`, error);
    case status.DEADLINE_EXCEEDED:
      return unreachable(address, `the coordinator at ${address} did not answer in time`, error);
    case status.UNIMPLEMENTED:
      return new RopeteamError(
        'WORKER.PROTOCOL_MISMATCH',
        { expected: 'ropeteam.v1', found: error.details },
        `the server at ${address} does not know this call: ${error.details}`,
        { hint: 'Check the address, and that both sides run the same version.', cause: error },
      );
    default: {
      const name = status[error.code] ?? String(error.code);
      const message = `the coordinator at ${address} answered ${name}: ${error.details}`;
      return new RopeteamError('WIRE.STATUS', { status: name }, message, {
        hint: "Look into the coordinator's log.",
        cause: error,
      });
    }
  }
}

/** As `fromStatus`, for whatever a call's stream failed with. */
export function fromCallError(error: unknown, address: string): RopeteamError {
  if (isServiceError(error)) return fromStatus(error, address);
  return unreachable(address, `lost the connection to the coordinator at ${address}: ${String(error)}`, error);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number' && 'details' in error;
}

export function unreachable(
  address: string,
  message: string,
  cause?: unknown,
): RopeteamError<'COORDINATOR.UNREACHABLE'> {
  return new RopeteamError('COORDINATOR.UNREACHABLE', { address }, message, {
    hint: 'Start one with "ropeteam up", or name another with --coordinator host:port.',
    cause,
  });
}

function unpacked(bytes: Buffer): ErrorEnvelope | undefined {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) return undefined; // not ours: the status alone has to do
    throw error;
  }
  return isEnvelope(value) ? value : undefined;
}

function isEnvelope(value: unknown): value is ErrorEnvelope {
  if (typeof value !== 'object' || value === null) return false;
  const { code, message, facts, hint, problems } = value as Partial<Record<keyof ErrorEnvelope, unknown>>;
  return (
    typeof code === 'string' &&
    typeof message === 'string' &&
    typeof facts === 'object' &&
    facts !== null &&
    (hint === undefined || typeof hint === 'string') &&
    (problems === undefined || (Array.isArray(problems) && problems.every(isEnvelope)))
  );
}
