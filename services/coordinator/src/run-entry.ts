import { parseJob } from '#job';
import {
  checkFence,
  type EventLog,
  type KeptSubmission,
  openEventLog,
  type PreparedDataset,
  type RunFolder,
} from '#storage';
import type { Fence, JobSpec, RunId, RunSummary, Submission, UploadedFile } from '#training';
import type { LiveRun } from '../page/messages.js';
import type { EarlierLife } from './earlier-life.js';
import { RunEvents } from './run-events.js';

/** One submitted run and what became of it. */
export interface RunEntry {
  readonly run: RunId;
  readonly job: JobSpec;
  readonly files: readonly UploadedFile[];
  /** Files that were not uploaded are below this folder. */
  readonly dataRoot?: string;
  /** Weights to start from, where those of the seed are not wanted. */
  readonly initFrom?: Submission['initFrom'];
  readonly folder: RunFolder;
  readonly eventLog: EventLog;
  readonly events: RunEvents;
  /** Aborted with a reason when somebody asks the run to stop. */
  readonly stopping: AbortController;
  /** Present: a coordinator before this one had it, or it had ended and is taken up again. */
  earlier?: EarlierLife;
  summary: RunSummary;
  /** Once it is taken: this coordinator's for this run. */
  fence: Fence | undefined;
  /** Its prepared rows, while it trains. */
  dataset: PreparedDataset | undefined;
  /** What it does at this moment, while it trains. */
  live: (() => LiveRun) | undefined;
}

/** Opens the event log of a run whose submission is kept in its folder, which this coordinator leads. */
export async function openEntry(folder: RunFolder, kept: KeptSubmission, earlier?: EarlierLife): Promise<RunEntry> {
  const job = parseJob(kept.jobText, kept.jobFile);
  const { run } = folder;
  let fence: Fence | undefined;
  const eventLog = await openEventLog(folder.eventsPath, {
    takeOver: true,
    mayWrite: async () => {
      if (fence !== undefined) await checkFence(folder, fence);
    },
  });
  const summary: RunSummary = {
    run,
    job: job.name,
    state: 'queued',
    step: earlier?.toldSteps ?? 0,
    steps: earlier?.steps ?? 0,
    ...(earlier?.loss === undefined ? {} : { loss: earlier.loss }),
    submittedAt: kept.submittedAt,
    runPath: folder.path,
  };
  return {
    run,
    job,
    files: kept.files,
    ...(kept.dataRoot === undefined ? {} : { dataRoot: kept.dataRoot }),
    ...(kept.initFrom === undefined ? {} : { initFrom: kept.initFrom }),
    folder,
    eventLog,
    events: new RunEvents(run, eventLog),
    stopping: new AbortController(),
    ...(earlier === undefined ? {} : { earlier }),
    summary,
    get fence() {
      return fence;
    },
    set fence(value) {
      fence = value;
    },
    dataset: undefined,
    live: undefined,
  };
}
