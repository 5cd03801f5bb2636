import { optimizerSlotNames } from '#kernel';
import { saveCheckpoint } from '#storage';
import { RopeteamError, type RunState } from '#training';
import { areFinite } from './finite.js';
import type { PreparedRun } from './prepare-run.js';
import type { RunEntry } from './run-book.js';
import type { RunContext } from './run-context.js';

/** Takes checkpoints: memory is copied between two steps, files are written beside them. */
export class CheckpointSchedule {
  readonly #context: RunContext;
  readonly #entry: RunEntry;
  readonly #prepared: PreparedRun;
  #lastAt = performance.now();
  /** Of the newest checkpoint that is on the disk. */
  #lastStep = 0;
  #saving: Promise<void> | undefined;

  constructor(context: RunContext, entry: RunEntry, prepared: PreparedRun) {
    this.#context = context;
    this.#entry = entry;
    this.#prepared = prepared;
  }

  /** Called between two steps, when the weights hold still. One save at a time: a slow disk skips, never queues. */
  afterStep(state: RunState): void {
    const due = performance.now() - this.#lastAt >= this.#prepared.job.checkpoint.everyMs;
    if (due && this.#saving === undefined) this.#begin(state);
  }

  /** The last checkpoint of a run, of exactly its final weights. */
  async final(state: RunState): Promise<void> {
    await this.settled();
    if (state.version === this.#lastStep) return;
    this.#begin(state);
    await this.settled();
  }

  async settled(): Promise<void> {
    await this.#saving;
  }

  #begin(state: RunState): void {
    const { engine, job, shape, program } = this.#prepared;
    this.#lastAt = performance.now();
    // Diverged: the next step will end the run, and may not find its last good checkpoint replaced.
    if (!areFinite(engine.weights)) return;
    const checkpoint = {
      run: shape.run,
      fence: shape.fence,
      step: state.version,
      epoch: Math.floor(state.version / shape.stepsPerEpoch),
      seed: job.train.seed,
      kernelId: engine.kernelId,
      weights: new Float32Array(engine.weights),
      optimizerState: new Float32Array(engine.optimizerState),
      slots: optimizerSlotNames(job.train.optimizer),
      parameters: program.parameters,
      progress: { epochSums: state.epochSums, stop: state.stop, lastEpoch: state.lastEpoch },
    };
    const { keep } = job.checkpoint;
    this.#saving = saveCheckpoint(this.#entry.folder, checkpoint, keep)
      .then(
        (saved) => {
          this.#lastStep = checkpoint.step;
          this.#context.metrics.checkpointSaved(saved);
          this.#context.events.append({ event: 'checkpoint_saved', step: checkpoint.step, ...saved });
        },
        (error: unknown) => this.#failed(error),
      )
      .finally(() => {
        this.#saving = undefined;
      });
  }

  /** Training goes on without: the last good checkpoint stands, and the next one is due in its time. */
  #failed(error: unknown): void {
    const code = error instanceof RopeteamError ? error.code : 'STORAGE.WRITE';
    const message = error instanceof Error ? error.message : String(error);
    this.#context.log.error('checkpoint_failed', { code, message });
    this.#context.events.append({ event: 'checkpoint_failed', code, message });
  }
}
