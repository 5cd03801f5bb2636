/** Taking a run up where its newest checkpoint left it. */
import type { AveragerEngine } from '#engine';
import type { Program } from '#kernel';
import {
  type Checkpoint,
  checkFence,
  dropCheckpointsBeyond,
  type Ledger,
  newestCheckpoint,
  openLedger,
  readLedger,
  readRollbacks,
  standing,
} from '#storage';
import {
  type Fence,
  failpoint,
  type InitFrom,
  type LedgerOrigin,
  type LedgerRecord,
  positionFrom,
  RopeteamError,
  type RunPosition,
} from '#training';
import type { BestWeights } from './best-weights.js';
import type { RunEntry } from './run-book.js';

/** Where a run goes on, and what is known of the steps that are made again. */
export interface Resumed {
  /** Absent: from the beginning. */
  readonly position?: RunPosition;
  /** Path of the checkpoint it goes on from. */
  readonly checkpoint?: string;
  readonly damaged: readonly string[];
  /** Weights hash after each step that the ledger had beyond the checkpoint. */
  readonly redone: ReadonlyMap<number, string>;
  /** Of the weights it goes on from; absent at the beginning. */
  readonly weightsHash?: string;
  readonly initFrom?: InitFrom;
  readonly toldSteps: number;
  readonly toldEpochs: number;
  readonly workersLost: number;
  /** Since the newest event of the coordinator before. */
  readonly afterSeconds: number;
}

export interface ResumeOptions {
  readonly fence: Fence;
  readonly engine: AveragerEngine;
  readonly best: BestWeights;
  readonly program: Program;
  readonly seed: number;
}

/**
 * Looks for what an earlier coordinator left of a run and puts its newest whole checkpoint into the engine; undefined for a
 * run that was never begun. The ledger is untouched until `openResumedLedger`.
 * @throws RopeteamError STORAGE.CORRUPT for a damaged ledger, RUN.NOT_RESUMABLE for a checkpoint of another kernel or model
 */
export async function resumeRun(entry: RunEntry, options: ResumeOptions): Promise<Resumed | undefined> {
  const { earlier, folder } = entry;
  if (earlier === undefined) return undefined;
  const rollbacks = await readRollbacks(folder);
  const records = standing(await recordsOf(folder.ledgerPath), rollbacks);
  if (rollbacks.length > 0) await dropCheckpointsBeyond(folder, records.length);
  const { newest, damaged } = await newestCheckpoint(folder, records.length);
  if (!earlier.begun && records.length === 0 && newest === undefined) return undefined;
  const step = newest?.checkpoint.step ?? 0;
  const initFrom = records[0]?.initFrom;
  const weightsHash = records[step - 1]?.weights;
  const position = newest === undefined ? undefined : positionFrom(step, newest.checkpoint.progress);
  if (newest !== undefined) loadInto(entry, newest.checkpoint, options);
  if (newest?.checkpoint.best !== undefined && position?.best !== undefined)
    options.best.keep(position.best.step, newest.checkpoint.best);
  const { toldSteps, toldEpochs, workersLost, lastAtMs } = earlier;
  return {
    ...(newest === undefined || position === undefined ? {} : { checkpoint: newest.path, position }),
    damaged: damaged.map(({ path }) => path),
    redone: new Map(records.slice(step).map((record) => [record.step, record.weights])),
    ...(weightsHash === undefined ? {} : { weightsHash }),
    ...(initFrom === undefined ? {} : { initFrom }),
    ...{ toldSteps, toldEpochs, workersLost },
    afterSeconds: Math.max(0, (Date.now() - lastAtMs) / 1000),
  };
}

/** The run's ledger, cut back to what it goes on from; refuses to be written once another coordinator has the run. */
export async function openResumedLedger(
  { folder }: RunEntry,
  fence: Fence,
  resumed: Resumed | undefined,
  { origin, initFrom }: { readonly origin: LedgerOrigin; readonly initFrom: InitFrom | undefined },
  onFenced: (error: RopeteamError) => void,
): Promise<Ledger> {
  const ledger = await openLedger(folder.ledgerPath, {
    takeOver: true,
    keepRecords: resumed?.position?.version ?? 0,
    mayWrite: () => checkFence(folder, fence),
    onError: (error) => {
      if (error.code === 'COORD.FENCED') onFenced(error);
    },
    origin,
    ...(initFrom === undefined ? {} : { initFrom }),
  });
  failpoint('after-ledger-cut');
  return ledger;
}

function loadInto({ run }: RunEntry, checkpoint: Checkpoint, { engine, program, seed }: ResumeOptions): void {
  const refuse = (why: string, hint: string): never => {
    const message = `run ${run} can't go on from its checkpoint of step ${checkpoint.step}: ${why}`;
    throw new RopeteamError('RUN.NOT_RESUMABLE', { run }, message, { hint });
  };
  if (checkpoint.kernelId !== engine.kernelId) {
    const kernel = `it was trained with kernel ${checkpoint.kernelId}, and this is ${engine.kernelId}`;
    refuse(kernel, 'resume it with the --kernel it was trained with: a run never mixes them');
  }
  const shapes = (parameters: Program['parameters']): string =>
    parameters.map(({ name, shape }) => `${name} ${shape.join('x')}`).join();
  const isOurs = checkpoint.run === run && checkpoint.seed === seed;
  if (!isOurs || shapes(checkpoint.parameters) !== shapes(program.parameters))
    refuse('it is of another job', 'put back the files of this run, or start it anew');
  engine.weights.set(checkpoint.weights);
  engine.optimizerState.set(checkpoint.optimizerState);
  failpoint('after-checkpoint-loaded');
}

async function recordsOf(path: string): Promise<readonly LedgerRecord[]> {
  try {
    return await readLedger(path);
  } catch (error) {
    // A coordinator that died before it opened one.
    if (error instanceof RopeteamError && error.cause instanceof Error && 'code' in error.cause)
      if (error.cause.code === 'ENOENT') return [];
    throw error;
  }
}
