import { Worker } from 'node:worker_threads';
import {
  ACTIVE,
  BARRIER_ARRIVED,
  COMMAND,
  type ControlBlock,
  FAILED,
  MAIL,
  OFFERS,
  PARTICIPANTS,
  PHASES,
  phaseCounter,
  SHARED_PIECES,
  STARTED_MS,
  ticketOf,
} from './control-block.js';
import { KernelThreadError, MissingRowError } from './engine-errors.js';
import { processMs } from './process-clock.js';
import type { ThreadReport } from './thread-service.js';

/** The calling thread's side of a set of kernel threads that work on one command at a time. */
export interface ThreadCrew extends AsyncDisposable {
  /** As the first thread reported it. */
  readonly kernelId: string;
  /** Leaves a message with every thread, to be read before the first command that is run after it. */
  post(message: unknown): void;
  /**
   * Has threads `[0, participants)` perform a command whose arguments were written to `control.numbers`, in as many
   * phases as the command has.
   * @throws KernelThreadError, MissingRowError what a thread failed with; with `fatal` every later call fails too
   */
  run(call: CrewCall): Promise<void>;
}

export interface CrewCall {
  /** A number the performer of these threads knows. */
  readonly command: number;
  /** At least 1, at most the number of threads. */
  readonly participants: number;
  /** 1..MAX_PHASES. */
  readonly phases: number;
}

interface PendingCall {
  readonly resolve: () => void;
  readonly reject: (reason: Error) => void;
  done: boolean;
  failure: Error | undefined;
}

/**
 * Starts one thread for each entry of `threadData` (its `workerData`) and waits until all are ready.
 *
 * Threads sleep in `Atomics.wait`, each on a ticket of its own, so a call wakes exactly as many as it has work for.
 * The end of a call comes back by `postMessage`: measured on Node 20 a wake-up and its answer take 55-65 µs (median;
 * 15 at best) that way and 20-55 µs with `Atomics.waitAsync`, the same within the machine's noise, and a message needs
 * nothing to keep the event loop alive and can carry an error.
 *
 * An idle crew does not keep the process alive; a pending call does.
 */
export async function openThreadCrew(
  entry: URL,
  threadData: readonly object[],
  control: ControlBlock,
): Promise<ThreadCrew> {
  const { words, numbers } = control;
  let broken: Error | undefined;
  let pending: PendingCall | undefined;
  let ended: Promise<unknown> | undefined;
  let posted = 0;

  // Flags of the caller's program (`--import`, `--input-type`, `--inspect`) are not meant for kernel threads.
  const workers = threadData.map(
    (workerData, index) => new Worker(entry, { workerData, execArgv: [], name: `kernel-${index}` }),
  );
  const first = workers[0];
  if (first === undefined) throw new RangeError('a crew needs at least 1 thread');

  function end(): Promise<unknown> {
    ended ??= Promise.all(workers.map((worker) => worker.terminate()));
    return ended;
  }

  function settle(): void {
    if (pending === undefined) return;
    const { done, failure, resolve, reject } = pending;
    // A failing thread reports on its own port, and ports are not ordered among each other: wait for both messages.
    const failed = Atomics.load(words, FAILED) !== 0;
    if (broken === undefined && (!done || (failed && failure === undefined))) return;
    pending = undefined;
    first?.unref();
    const reason = broken ?? failure;
    if (reason === undefined) resolve();
    else reject(reason);
  }

  /** Nothing can be expected of the other threads any more: one of them is missing at the barrier. */
  function breakDown(reason: Error): void {
    broken ??= reason;
    end().then(settle, settle);
  }

  function listen(worker: Worker, thread: number): Promise<string> {
    return new Promise((ready, failStart) => {
      const fail = (what: string, cause?: unknown): void => {
        const error = new KernelThreadError(thread, true, what, cause);
        failStart(error);
        breakDown(error);
      };
      worker.on('message', (report: ThreadReport) => {
        if (report.kind === 'ready') ready(report.kernelId);
        else if (pending !== undefined) {
          if (report.kind === 'done') pending.done = true;
          else pending.failure ??= asError(thread, report);
          settle();
        }
      });
      worker.on('error', (error) => fail('ended with an uncaught error', error));
      worker.on('messageerror', (error) => fail('sent a message that could not be read', error));
      worker.on('exit', (code) => {
        if (ended === undefined) fail(`exited with code ${code}`);
      });
    });
  }

  const started = Promise.all(workers.map(listen));
  await started.catch(end);
  const kernelId = (await started)[0]!; // there is a first thread
  for (const worker of workers) worker.unref();

  return {
    kernelId,
    post(message) {
      for (const worker of workers) worker.postMessage(message);
      posted++;
    },
    run({ command, participants, phases }) {
      if (broken !== undefined) return Promise.reject(broken);
      if (pending !== undefined) return Promise.reject(new Error('a crew performs one command at a time'));
      words[COMMAND] = command;
      words[PARTICIPANTS] = participants;
      words[PHASES] = phases;
      words[MAIL] = posted; // what comes later waits for the next command: all participants have read the same
      for (const word of [FAILED, BARRIER_ARRIVED, SHARED_PIECES, OFFERS]) words[word] = 0;
      for (let phase = 0; phase < phases; phase++) words[phaseCounter(phase)] = 0;
      words[ACTIVE] = participants;
      return new Promise((resolve, reject) => {
        pending = { resolve, reject, done: false, failure: undefined };
        first.ref();
        numbers[STARTED_MS] = processMs();
        for (let thread = 0; thread < participants; thread++) {
          Atomics.add(words, ticketOf(thread), 1);
          Atomics.notify(words, ticketOf(thread));
        }
      });
    },
    async [Symbol.asyncDispose]() {
      broken ??= new Error('the engine is closed');
      await end();
      settle();
    },
  };
}

function asError(thread: number, report: Extract<ThreadReport, { kind: 'missing-row' | 'failed' }>): Error {
  if (report.kind === 'missing-row') return new MissingRowError(report.split, report.index);
  return new KernelThreadError(thread, false, `failed: ${report.error.message}`, report.error);
}
