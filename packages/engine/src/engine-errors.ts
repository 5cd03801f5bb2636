import type { KernelName, SplitName } from './engine.js';

/** A model needs more kernel memory than WebAssembly can address. */
export class ModelTooLargeError extends RangeError {
  readonly code = 'ENGINE.MODEL_TOO_LARGE';
  /** Kernel memory that would be needed. */
  readonly bytes: number;
  /** What there can be at the most. */
  readonly limitBytes: number;

  constructor(who: string, bytes: number, limitBytes: number, parameterCount: number) {
    super(
      `the model is too large: ${who} needs ${bytes} bytes of kernel memory for ${parameterCount} parameters, ` +
        `the limit of WebAssembly is ${limitBytes}`,
    );
    this.name = 'ModelTooLargeError';
    this.bytes = bytes;
    this.limitBytes = limitBytes;
  }
}

/** A row was asked for that lies in no shard added so far. The engine goes on: add the shard and ask again. */
export class MissingRowError extends Error {
  readonly code = 'ENGINE.ROW_MISSING';
  readonly split: SplitName;
  /** Index of the sample within its split. */
  readonly index: number;

  constructor(split: SplitName, index: number) {
    super(`sample ${index} of split "${split}" is in no shard this engine was given; add its shard first`);
    this.name = 'MissingRowError';
    this.split = split;
    this.index = index;
  }
}

/** A kernel thread threw (`fatal: false`: the call is lost, the engine goes on) or ended (`fatal: true`: so has the engine). */
export class KernelThreadError extends Error {
  readonly code = 'ENGINE.THREAD_FAILED';
  readonly thread: number;
  readonly fatal: boolean;

  constructor(thread: number, fatal: boolean, what: string, cause?: unknown) {
    super(`kernel thread ${thread} ${what}`, { cause });
    this.name = 'KernelThreadError';
    this.thread = thread;
    this.fatal = fatal;
  }
}

/** This machine lacks what a kernel needs. */
export class KernelUnavailableError extends Error {
  readonly code = 'ENGINE.KERNEL_UNAVAILABLE';
  readonly kernel: KernelName;
  /** What is lacking. */
  readonly what: string;
  /** What to do, one imperative sentence. */
  readonly fix: string;

  constructor(kernel: KernelName, what: string, fix: string, cause?: unknown) {
    super(`kernel ${kernel} cannot be used here: ${what}`, cause === undefined ? undefined : { cause });
    this.name = 'KernelUnavailableError';
    this.kernel = kernel;
    this.what = what;
    this.fix = fix;
  }
}
