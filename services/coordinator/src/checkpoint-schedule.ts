import { optimizerSlotNames } from '#kernel';
import { type Checkpoint, isKeptForGood, saveCheckpoint } from '#storage';
import { coordinatorUpdate, failpoint, progressOf, RopeteamError, type RunState } from '#training';
import { areFiniteUnhurried } from './finite.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';

type Memory = Pick<Checkpoint, 'weights' | 'optimizerState'>;

/** What copies may hold that wait for the disk, besides one that always may. */
const WAITING_BYTES = 256 * 2 ** 20;

/**
 * Takes checkpoints: memory is copied between two steps, files are written beside them.
 *
 * One that time asks for is skipped while the disk is busy, for the next will do as well. One that its step asks for
 * (`checkpoint.everySteps`) waits in line.
 */
export class CheckpointSchedule {
  readonly #context: RunContext;
  readonly #entry: RunEntry;
  readonly #prepared: PreparedRun;
  #lastAt = performance.now();
  /** Of the newest checkpoint that is on the disk. */
  #lastStep = 0;
  readonly #waiting: Checkpoint[] = [];
  #saving: Promise<void> | undefined;
  /** A copy whose file is written: the next is taken over it, so that memory is asked for once and not for each. */
  #spare: Memory | undefined;

  constructor(context: RunContext, entry: RunEntry, prepared: PreparedRun) {
    this.#context = context;
    this.#entry = entry;
    this.#prepared = prepared;
  }

  /** Called between two steps, when the weights hold still. */
  afterStep(state: RunState): void {
    const { everyMs } = this.#prepared.job.checkpoint;
    if (isKeptForGood(state.version, this.#prepared.job.checkpoint)) {
      if (this.#hasRoom()) this.#begin(state);
      else this.#failed(tooSlow(this.#entry.folder.checkpointsPath, state.version));
    } else if (performance.now() - this.#lastAt >= everyMs && this.#saving === undefined) this.#begin(state);
  }

  /**
   * The last checkpoint of a run, of exactly its final weights. No step comes after it: the file is written from the
   * kernel's memory, and the copy that was kept for another is given up.
   */
  async final(state: RunState): Promise<void> {
    await this.settled();
    this.#spare = undefined;
    if (state.version !== this.#lastStep) await this.#trySave(this.#checkpoint(state, this.#prepared.engine));
  }

  async settled(): Promise<void> {
    await this.#saving;
  }

  #hasRoom(): boolean {
    const { weights, optimizerState } = this.#prepared.engine;
    const waitingBytes = this.#waiting.length * (weights.byteLength + optimizerState.byteLength);
    return this.#waiting.length === 0 || waitingBytes + weights.byteLength + optimizerState.byteLength <= WAITING_BYTES;
  }

  #begin(state: RunState): void {
    this.#lastAt = performance.now();
    this.#waiting.push(this.#checkpoint(state, this.#copy()));
    this.#saving ??= this.#saveWaiting();
  }

  #checkpoint(state: RunState, { weights, optimizerState }: Memory): Checkpoint {
    const { engine, job, shape, program, best } = this.#prepared;
    return {
      run: shape.run,
      fence: shape.fence,
      step: state.version,
      epoch: Math.floor(state.version / shape.stepsPerEpoch),
      seed: job.train.seed,
      kernelId: engine.kernelId,
      weights,
      optimizerState,
      slots: optimizerSlotNames(coordinatorUpdate(job.train).optimizer),
      parameters: program.parameters,
      progress: progressOf(state),
      ...(state.best === undefined ? {} : { best: best.of(state.best.step) }),
    };
  }

  #copy(): Memory {
    const { weights, optimizerState } = this.#prepared.engine;
    const into = this.#spare ?? {
      weights: new Float32Array(weights.length),
      optimizerState: new Float32Array(optimizerState.length),
    };
    this.#spare = undefined;
    into.weights.set(weights);
    into.optimizerState.set(optimizerState);
    return into;
  }

  async #saveWaiting(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#trySave(next);
      const { weights, optimizerState } = next;
      this.#spare ??= { weights, optimizerState };
    }
    this.#saving = undefined; // in the same breath as the look into the line: nobody joins one that is not served
  }

  /** Training goes on without one that fails: the last good checkpoint stands, and the next one is due in its time. */
  async #trySave(checkpoint: Checkpoint): Promise<void> {
    try {
      await this.#save(checkpoint);
    } catch (error) {
      this.#failed(error);
    }
  }

  async #save(checkpoint: Checkpoint): Promise<void> {
    // Diverged: the next step will end the run, and may not find its last good checkpoint replaced.
    if (!(await areFiniteUnhurried(checkpoint.weights))) return;
    // Nothing vouches for a checkpoint whose steps are not in the ledger; and what is not told by then is not told again.
    await this.#prepared.ledger.flush();
    await this.#entry.eventLog.flush();
    failpoint('before-checkpoint');
    const saved = await this.#context.traces.checkpointing(checkpoint.step, () =>
      saveCheckpoint(this.#entry.folder, checkpoint, this.#prepared.job.checkpoint),
    );
    this.#lastStep = checkpoint.step;
    this.#context.metrics.checkpointSaved(saved);
    this.#context.events.append({ event: 'checkpoint_saved', step: checkpoint.step, ...saved });
  }

  #failed(error: unknown): void {
    if (error instanceof RopeteamError && error.code === 'COORD.FENCED') this.#context.onFenced(error);
    const code = error instanceof RopeteamError ? error.code : 'STORAGE.WRITE';
    const message = error instanceof Error ? error.message : String(error);
    this.#context.metrics.checkpointFailed();
    this.#context.log.error('checkpoint_failed', { code, message });
    this.#context.events.append({ event: 'checkpoint_failed', code, message });
  }
}

/** More copies than fit into memory would end the run; steps that waited for the disk would stall it. */
function tooSlow(file: string, step: number): RopeteamError {
  const message = `the checkpoint of step ${step} was left out: the disk does not keep up with checkpoint.everySteps`;
  return new RopeteamError('STORAGE.WRITE', { file }, message, { hint: 'save less often, or use a faster disk' });
}
