/**
 * Errors a user can meet. Each says what happened, where, with which values, and what to do next.
 *
 * `code` is a key of `ErrorFacts`; a new failure is one line there, and the compiler finds every table that must know it.
 */

/** The facts each error carries as fields. */
export interface ErrorFacts {
  'CONFIG.SYNTAX': { readonly file: string };
  'CONFIG.UNKNOWN_KEY': { readonly key: string };
  'CONFIG.TYPE': { readonly key: string };
  'CONFIG.RANGE': { readonly key: string };
  'CONFIG.CONFLICT': { readonly key: string };
  'CONFIG.VERSION': { readonly found: string };
  'CONFIG.FILE': { readonly file: string };
  'CONFIG.SEVERAL': { readonly count: number };
  'DATA.FILE': { readonly file: string };
  'DATA.OUTSIDE_ROOT': { readonly file: string };
  'DATA.FORMAT': { readonly file: string };
  'DATA.ROW': { readonly file: string; readonly line: number };
  'DATA.CELL': { readonly file: string; readonly line: number; readonly column: string };
  'DATA.LABEL': { readonly file: string; readonly line: number };
  'DATA.COLUMN': { readonly file: string; readonly column: string };
  'DATA.TOO_FEW': { readonly samples: number };
  'DATA.LIMIT': { readonly file: string; readonly limit: number };
  'DATA.SHARD': { readonly shard: string };
  /** A data file was changed while it was read, or is not what the run was begun with. */
  'DATA.CHANGED': { readonly file: string };
  'MODEL.INIT': { readonly file: string };
  'MODEL.SHAPE': { readonly layer: string };
  'MODEL.TOO_LARGE': { readonly bytes: number };
  /** The format of an export cannot hold the model. */
  'MODEL.EXPORT': { readonly format: string };
  'RUN.UNKNOWN': { readonly run: string };
  'RUN.EXISTS': { readonly run: string };
  'RUN.NONFINITE': {
    readonly step: number;
    /** The first block and the first parameter that hold such a number, where they are known. */
    readonly block?: string;
    readonly tensor?: string;
    readonly learningRate?: number;
  };
  'RUN.POISON_BLOCK': {
    readonly step: number;
    readonly block: string;
    /** The file its rows come from. */
    readonly file?: string;
    /** Their numbers from 1: rows of the file where the split was not drawn, else samples of the split in file order. */
    readonly rows?: string;
  };
  'RUN.STOPPED': { readonly run: string };
  'RUN.FAILED': { readonly run: string };
  'RUN.NOT_RESUMABLE': { readonly run: string };
  'STORAGE.CORRUPT': { readonly file: string };
  'STORAGE.WRITE': { readonly file: string };
  /** Object storage does not have it, does not give it, or cannot be reached. */
  'STORAGE.OBJECT': { readonly url: string };
  'REDIS.UNREACHABLE': { readonly url: string };
  'REDIS.VERSION': { readonly found: string };
  'REDIS.EVICTION_POLICY': { readonly found: string };
  'REDIS.NOT_FOUND': { readonly tried: string };
  'REDIS.OUT_OF_MEMORY': { readonly url: string };
  'COORDINATOR.UNREACHABLE': { readonly address: string };
  'COORDINATOR.ADDRESS': { readonly address: string };
  /** Another coordinator leads this folder, and it is alive. */
  'COORD.HELD': { readonly folder: string; readonly pid: number; readonly host: string; readonly fence: number };
  /** Another coordinator has taken over: this one may not write any more. */
  'COORD.FENCED': { readonly held: number; readonly current: number };
  /** A coordinator that dies again and again. */
  'COORD.CRASH_LOOP': { readonly times: number };
  /** A step that was made again after a crash has other weights than the ledger recorded. */
  'INTEGRITY.REPLAY': { readonly step: number };
  /** Workers compute different bits for the same item, and no two of them agree. */
  'INTEGRITY.DISAGREEMENT': { readonly step: number; readonly block: string; readonly workers: string };
  /** TLS files that cannot be used. */
  'AUTH.CERTIFICATE': { readonly file: string };
  /** A connection that could not be made because of TLS. */
  'AUTH.HANDSHAKE': { readonly address: string };
  /** A role that may not make this call. */
  'AUTH.ROLE': { readonly role: string; readonly call: string };
  /** A worker whose certificate is for another name. */
  'AUTH.NAME': { readonly worker: string };
  /** A worker that was not admitted: its join token is missing, wrong, used, too old, or of another certificate. */
  'AUTH.JOIN': { readonly worker: string };
  /** An address others can reach, without TLS. */
  'AUTH.TLS_REQUIRED': { readonly address: string };
  'WORKER.KERNEL_MISMATCH': { readonly expected: string; readonly found: string };
  'WORKER.PROTOCOL_MISMATCH': { readonly expected: string; readonly found: string };
  'WORKER.REPLACED': { readonly worker: string };
  'WIRE.CORRUPT': { readonly what: string };
  /** The peer ended a call with a gRPC status and no explanation of ours. */
  'WIRE.STATUS': { readonly status: string };
  'USAGE.ARGUMENT': { readonly argument: string };
  'ENVIRONMENT.PROCESS': { readonly process: string };
  'ENVIRONMENT.KERNEL': { readonly kernel: string };
  /** The system grants too little: files, processes, memory, address space. */
  'ENVIRONMENT.LIMIT': { readonly limit: string; readonly granted?: number; readonly needed?: number };
}

export type ErrorCode = keyof ErrorFacts;

/** Where in a file an error is, with the lines around it for a frame. Lines and columns count from 1. */
export interface ErrorPlace {
  readonly file: string;
  readonly line?: number;
  readonly column?: number;
  /** Characters to underline. */
  readonly length?: number;
  /** The line itself, at most 120 characters of it. */
  readonly text?: string;
}

export interface ErrorDetails {
  /** What to do next, one imperative sentence. */
  readonly hint?: string;
  readonly place?: ErrorPlace;
  readonly cause?: unknown;
  /** For an error that reports several at once. */
  readonly problems?: readonly RopeteamError[];
}

export class RopeteamError<Code extends ErrorCode = ErrorCode> extends Error {
  override readonly name = 'RopeteamError';
  readonly code: Code;
  readonly facts: ErrorFacts[Code];
  readonly hint: string | undefined;
  readonly place: ErrorPlace | undefined;
  readonly problems: readonly RopeteamError[];

  constructor(code: Code, facts: ErrorFacts[Code], message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.facts = facts;
    this.hint = details.hint;
    this.place = details.place;
    this.problems = details.problems ?? [];
  }
}

/** The plain form of an error, as it travels over gRPC, into events and `--json`. */
export interface ErrorEnvelope {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly place?: ErrorPlace;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly problems?: readonly ErrorEnvelope[];
}

export function toEnvelope(error: RopeteamError): ErrorEnvelope {
  return {
    code: error.code,
    message: error.message,
    facts: { ...error.facts },
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.place === undefined ? {} : { place: error.place }),
    ...(error.problems.length === 0 ? {} : { problems: error.problems.map(toEnvelope) }),
  };
}

/** @param cause what this process knows of it besides */
export function fromEnvelope(envelope: ErrorEnvelope, cause?: unknown): RopeteamError {
  // The code was checked by the sender's compiler; an unknown one from a newer peer is still shown with its message.
  const code = envelope.code as ErrorCode;
  return new RopeteamError(code, envelope.facts as unknown as ErrorFacts[ErrorCode], envelope.message, {
    ...(envelope.hint === undefined ? {} : { hint: envelope.hint }),
    ...(envelope.place === undefined ? {} : { place: envelope.place }),
    cause,
    problems: (envelope.problems ?? []).map((problem) => fromEnvelope(problem)),
  });
}

/** Process exit code of an error: 1 the run failed, 2 wrong usage, job file or input, 3 the environment lacks something. */
export function exitCodeOf(code: ErrorCode): 1 | 2 | 3 {
  const area = code.slice(0, code.indexOf('.'));
  switch (area) {
    case 'CONFIG':
    case 'DATA':
    case 'MODEL':
    case 'USAGE':
    case 'WORKER':
      return 2;
    case 'REDIS':
    case 'COORDINATOR':
    case 'COORD':
    case 'ENVIRONMENT':
    case 'AUTH':
      return 3;
    default:
      if (code === 'STORAGE.WRITE' || code === 'STORAGE.OBJECT') return 3;
      return code === 'RUN.UNKNOWN' || code === 'RUN.EXISTS' || code === 'RUN.NOT_RESUMABLE' ? 2 : 1;
  }
}

/** Whether a run that failed with this code may succeed when it goes on: the reason lay outside of job and data. */
export function isOutsideFailure(code: string): boolean {
  const [area] = code.split('.', 1);
  if (area === 'RUN') return code === 'RUN.FAILED' || code === 'RUN.POISON_BLOCK' || code === 'RUN.STOPPED';
  // Shards can be prepared again, and a file put back.
  if (code === 'DATA.SHARD' || code === 'DATA.CHANGED') return true;
  return (
    code === 'INTEGRITY.DISAGREEMENT' ||
    area === 'STORAGE' ||
    area === 'REDIS' ||
    area === 'COORD' ||
    area === 'COORDINATOR' ||
    area === 'ENVIRONMENT'
  );
}
