/** A client of a running coordinator: what `submit`, `runs`, `watch`, `stop` and `resume` are made of. */
import type { RunEvent, RunId, RunSummary } from '#training';
import { openChannel } from './channel.js';
import {
  listRunsRequest,
  listRunsResponse,
  resumeRunRequest,
  resumeRunResponse,
  runMethods,
  stopRunRequest,
  stopRunResponse,
} from './proto-definitions.js';
import { decodeMessage, summaryFromMessage } from './run-messages.js';
import { type LocalSubmission, submitRun } from './run-submit.js';
import { watchRun } from './run-watch.js';
import type { TlsIdentity } from './tls-identity.js';

export interface RunClient {
  /** Streams the files and resolves when the coordinator has put the run into its queue. */
  submit(submission: LocalSubmission): Promise<RunSummary>;
  list(): Promise<readonly RunSummary[]>;
  /**
   * Events from number `from` on, then live ones, until the run's last. A broken connection is made again and no event
   * is missed or repeated. Ends without an error when the signal aborts.
   * @param run absent: the run the coordinator is busy with, or the last one it was
   * @param steps `sampled`: of `step_committed` at most ten a second, which spares both sides on small models
   */
  watch(
    run: RunId | undefined,
    from: number,
    signal: AbortSignal,
    steps?: 'every' | 'sampled',
  ): AsyncIterable<RunEvent>;
  stop(run: RunId, reason: string): Promise<RunSummary>;
  /** Has a run that was stopped, or failed for a reason outside of it, taken up again. */
  resume(run: RunId): Promise<RunSummary>;
  close(): void;
}

export interface ClientOptions {
  /** Milliseconds until a connection must be there, and until a broken one must be back. */
  readonly connectDeadlineMs?: number;
  /** Milliseconds until a call must be answered. */
  readonly answerDeadlineMs?: number;
  /** Absent: plaintext. */
  readonly tls?: TlsIdentity | undefined;
}

/**
 * Opens no connection yet; every method throws COORDINATOR.UNREACHABLE if there is none to be had, and otherwise what
 * the coordinator answers. Throws COORDINATOR.ADDRESS if `address` is not `host:port`.
 */
export function connectClient(address: string, options: ClientOptions = {}): RunClient {
  const { connectDeadlineMs = 5000, answerDeadlineMs = 10_000 } = options;
  const channel = openChannel(address, options.tls);
  const never = new AbortController().signal;
  const ready = (signal = never) => channel.ready(connectDeadlineMs, signal);
  return {
    submit: async (submission) => {
      await ready();
      return submitRun(channel, submission, answerDeadlineMs);
    },
    list: async () => {
      await ready();
      const bytes = await channel.unary(runMethods.listRuns, listRunsRequest.encode({}), answerDeadlineMs);
      return decodeMessage(listRunsResponse, bytes, 'the list of runs').messages('runs').map(summaryFromMessage);
    },
    watch: (run, from, signal, steps = 'every') =>
      watchRun(channel, { run, from, everyStep: steps === 'every', connectDeadlineMs }, signal),
    stop: async (run, reason) => {
      await ready();
      const request = stopRunRequest.encode({ runId: run, reason });
      const bytes = await channel.unary(runMethods.stopRun, request, answerDeadlineMs);
      return summaryFromMessage(decodeMessage(stopRunResponse, bytes, 'the answer to a stop').message('run'));
    },
    resume: async (run) => {
      await ready();
      const request = resumeRunRequest.encode({ runId: run });
      const bytes = await channel.unary(runMethods.resumeRun, request, answerDeadlineMs);
      return summaryFromMessage(decodeMessage(resumeRunResponse, bytes, 'the answer to a resume').message('run'));
    },
    close: () => channel.close(),
  };
}
