/** The runs that lie in a folder when a coordinator starts: those that are over, and those that nobody finished. */
import { forgetInputs, listRunFolders, makeInnerFolders, newestEvent, type RunFolder, readSubmission } from '#storage';
import { failpoint, isOutsideFailure, RopeteamError, type RunEvent, type RunId, type RunSummary } from '#training';
import { readEarlierLife } from './earlier-life.js';
import type { Leads } from './leads.js';
import { openEntry, type RunEntry } from './run-entry.js';

/** A run that is over, and that nobody has asked to go on. */
export interface PastRun {
  readonly folder: RunFolder;
  readonly summary: RunSummary;
}

export interface FoundRuns {
  /** In the order of their submission. */
  readonly unended: readonly RunEntry[];
  readonly past: readonly PastRun[];
  readonly refused: readonly { readonly run: RunId; readonly error: RopeteamError }[];
}

type Found =
  | { readonly kind: 'unended'; readonly entry: RunEntry }
  | { readonly kind: 'past'; readonly past: PastRun }
  | { readonly kind: 'refused'; readonly run: RunId; readonly error: RopeteamError }
  | { readonly kind: 'none' };

/**
 * Looks through a runs folder. A run that did not end is led by this coordinator afterwards.
 * @param only this run alone
 * @param options.ended `take-up`: also a run that was stopped or failed for a reason outside of it
 */
export async function findRuns(
  runsDirectory: string,
  leads: Leads,
  only: RunId | undefined,
  { ended = 'leave' }: { readonly ended?: 'leave' | 'take-up' } = {},
): Promise<FoundRuns> {
  const folders = (await listRunFolders(runsDirectory)).filter(({ run }) => only === undefined || run === only);
  const look = async (folder: RunFolder): Promise<Found> => {
    try {
      return await lookAt(folder, leads, ended === 'take-up');
    } catch (error) {
      if (!(error instanceof RopeteamError)) throw error;
      return { kind: 'refused', run: folder.run, error };
    }
  };
  const found = await Promise.all(folders.map(look));
  const byAge = (a: { summary: RunSummary }, b: { summary: RunSummary }): number =>
    a.summary.submittedAt < b.summary.submittedAt ? -1 : 1;
  return {
    unended: found.flatMap((one) => (one.kind === 'unended' ? [one.entry] : [])).sort(byAge),
    past: found.flatMap((one) => (one.kind === 'past' ? [one.past] : [])).sort(byAge),
    refused: found.flatMap((one) => (one.kind === 'refused' ? [one] : [])),
  };
}

async function lookAt(folder: RunFolder, leads: Leads, takeUp: boolean): Promise<Found> {
  const kept = await readSubmission(folder);
  if (kept === undefined) return { kind: 'none' };
  const last = await newestEvent(folder.eventsPath);
  const isOver = last?.event === 'run_finished' || last?.event === 'run_failed';
  if (isOver && !takeUp) {
    // A crash may have come between the run's end and this.
    if (!isResumableEnd(last)) await forgetInputs(folder);
    return { kind: 'past', past: { folder, summary: await pastSummary(folder, kept.submittedAt, last) } };
  }
  if (isOver && !isResumableEnd(last)) throw notResumable(folder.run, last);
  await leads.take(folder.path);
  await makeInnerFolders(folder);
  const earlier = await readEarlierLife(folder.eventsPath);
  const entry = await openEntry(folder, kept, earlier);
  // Its coordinator died between the writing down of what was submitted and the first event.
  if (entry.eventLog.count === 0) entry.events.append({ event: 'run_queued', job: entry.job.name });
  failpoint('during-recovery-scan');
  return { kind: 'unended', entry };
}

/** Whether a run that ended so may go on: nothing in it would end it in the same way again. */
export function isResumableEnd(last: RunEvent): boolean {
  if (last.event === 'run_finished') return last.stoppedBy === 'user';
  return last.event === 'run_failed' && isOutsideFailure(last.code);
}

function notResumable(run: RunId, last: RunEvent): RopeteamError {
  const why = last.event === 'run_failed' ? `it would fail again: ${last.message}` : 'it has finished';
  return new RopeteamError('RUN.NOT_RESUMABLE', { run }, `run ${run} can't be resumed: ${why}`, {
    hint: 'submit the job again, with what it needs changed',
  });
}

async function pastSummary(folder: RunFolder, submittedAt: string, last: RunEvent): Promise<RunSummary> {
  const { run, path: runPath } = folder;
  const started = await readEarlierLife(folder.eventsPath);
  const loss = started.loss === undefined ? {} : { loss: started.loss };
  const common = { run, job: run, submittedAt, runPath, steps: started.steps, ...loss };
  return last.event === 'run_finished'
    ? { ...common, state: 'finished', step: last.steps, weightsSha256: last.weightsSha256 }
    : { ...common, state: 'failed', step: started.toldSteps };
}
