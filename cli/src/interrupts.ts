/** Ctrl-C and its relatives: the first asks for an orderly end, the second for an immediate one. */
import { constants } from 'node:os';

export interface Interrupts extends Disposable {
  /** Aborted by the first signal: finish what is in hand, save, leave. */
  readonly orderly: AbortSignal;
  /** Aborted by the second signal, and by a closed stdout: leave now. */
  readonly immediate: AbortSignal;
  /** What came first; undefined before anything did. */
  first(): Interrupted | undefined;
  /** As a signal would, from the program itself. */
  raise(signal: NodeJS.Signals, how: 'orderly' | 'immediate'): void;
}

/** Thrown out of whatever was in hand when the user interrupted it. Says nothing on the screen: they know. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.signal = signal;
  }

  /** 128 + the signal's number, the shell's convention. */
  get exitCode(): number {
    return 128 + constants.signals[this.signal];
  }
}

/** What is needed of `process`. */
export interface SignalSource {
  on(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
  off(signal: NodeJS.Signals, listener: (signal: NodeJS.Signals) => void): unknown;
}

/**
 * One press of Ctrl-C may arrive twice: the terminal gives it to every process of the group and npm, in front of
 * `npm start`, forwards it once more. A person's second press comes later than this.
 */
const SAME_PRESS_MS = 400;

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export function listenForInterrupts(source: SignalSource, now: () => number = () => performance.now()): Interrupts {
  const orderly = new AbortController();
  const immediate = new AbortController();
  let first: Interrupted | undefined;
  let firstAt = 0;

  const raise = (signal: NodeJS.Signals, how: 'orderly' | 'immediate'): void => {
    if (first === undefined) firstAt = now();
    first ??= new Interrupted(signal);
    // Whoever hears of the orderly end can see that there is no time for one.
    if (how === 'immediate') immediate.abort(first);
    orderly.abort(first);
  };
  const listener = (signal: NodeJS.Signals): void => {
    if (first === undefined) raise(signal, 'orderly');
    else if (now() - firstAt >= SAME_PRESS_MS) raise(signal, 'immediate');
  };
  for (const signal of SIGNALS) source.on(signal, listener);
  return {
    orderly: orderly.signal,
    immediate: immediate.signal,
    first: () => first,
    raise,
    [Symbol.dispose]: () => {
      for (const signal of SIGNALS) source.off(signal, listener);
    },
  };
}

/** The promise's value, unless the signal is aborted first: then its reason is thrown and the value no longer matters. */
export function untilAborted<Value>(promise: Promise<Value>, signal: AbortSignal): Promise<Value> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
