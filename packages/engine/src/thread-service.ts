import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { abandonMeetings, meet } from './barrier.js';
import {
  ACTIVE,
  COMMAND,
  type ControlBlock,
  ENDED_MS,
  FAILED,
  MAIL,
  PHASES,
  phaseCounter,
  ticketOf,
} from './control-block.js';
import type { SplitName } from './engine.js';
import { MissingRowError } from './engine-errors.js';
import { processMs } from './process-clock.js';

/** What a kernel thread tells the calling thread. */
export type ThreadReport =
  | { readonly kind: 'ready'; readonly kernelId: string }
  /** From whichever thread left the command last. */
  | { readonly kind: 'done' }
  | { readonly kind: 'missing-row'; readonly split: SplitName; readonly index: number }
  | { readonly kind: 'failed'; readonly error: Error };

/** What a kernel thread does; one a thread. */
export interface Performer {
  readonly kernelId: string;
  /**
   * One phase of a command: all participants run it at the same time, and none starts the next phase before all have
   * left this one, so what any of them wrote is visible then. When one throws, the others are not waited for.
   * @param takePiece the next piece of the phase's work, counted from 0, each given to one thread only; `undefined` when
   * there are no more than `pieces`, or a thread has failed and the call is lost anyway
   */
  perform(command: number, phase: number, takePiece: (pieces: number) => number | undefined): void;
  /** Run after the last phase by whoever left it last, if nobody failed. */
  finish(command: number): void;
  /** Mail from the calling thread, in the order it was posted and before the next command. */
  receive(message: unknown): void;
}

/**
 * Serves commands until the thread is terminated. Never returns, so the thread's event loop never turns: mail is
 * fetched by hand.
 */
export function serveCommands(index: number, control: ControlBlock, performer: Performer): never {
  if (parentPort === null) throw new Error('kernel threads are started by an engine, not as a program');
  const port = parentPort;
  const { words, numbers } = control;
  const report = (message: ThreadReport): void => port.postMessage(message);
  const failed = (): boolean => Atomics.load(words, FAILED) !== 0;
  const attempt = (work: () => void): void => {
    try {
      work();
    } catch (error) {
      if (Atomics.compareExchange(words, FAILED, 0, index + 1) !== 0) return; // one report a call: the first thread's
      report(failureReport(error));
      abandonMeetings(words);
    }
  };
  let mailRead = 0;
  const readMail = (): void => {
    for (; mailRead < words[MAIL]!; mailRead++) {
      const mail = receiveMessageOnPort(port);
      if (mail === undefined) throw new Error('a message that was posted to this thread did not arrive');
      performer.receive(mail.message);
    }
  };

  let ticket = 0;
  report({ kind: 'ready', kernelId: performer.kernelId });
  for (;;) {
    Atomics.wait(words, ticketOf(index), ticket);
    const issued = Atomics.load(words, ticketOf(index));
    if (issued === ticket) continue; // woken for nothing
    ticket = issued;
    const command = words[COMMAND]!;
    const phases = words[PHASES]!;
    attempt(readMail);
    for (let phase = 0; phase < phases; phase++) {
      if (phase > 0 && !meet(words)) break;
      const counter = phaseCounter(phase);
      const takePiece = (pieces: number): number | undefined => {
        if (failed()) return undefined;
        const piece = Atomics.add(words, counter, 1);
        return piece < pieces ? piece : undefined;
      };
      attempt(() => performer.perform(command, phase, takePiece));
    }
    if (Atomics.sub(words, ACTIVE, 1) !== 1) continue;
    if (!failed()) attempt(() => performer.finish(command));
    numbers[ENDED_MS] = processMs();
    report({ kind: 'done' });
  }
}

function failureReport(error: unknown): ThreadReport {
  if (error instanceof MissingRowError) return { kind: 'missing-row', split: error.split, index: error.index };
  return { kind: 'failed', error: error instanceof Error ? error : new Error(String(error)) };
}
