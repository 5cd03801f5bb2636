import { eventsOf } from '#storage';

/** What the events of a run tell of it that was begun by a coordinator before this one. */
export interface EarlierLife {
  /** Its start was told. */
  readonly begun: boolean;
  /** Steps and epochs that were told: made again, they are not told again. */
  readonly toldSteps: number;
  readonly toldEpochs: number;
  readonly workersLost: number;
  /** Steps of the run at the most; 0 while unknown. */
  readonly steps: number;
  /** Of the newest step told of. */
  readonly loss?: number;
  /** When the newest event was written, milliseconds since 1970. */
  readonly lastAtMs: number;
}

export async function readEarlierLife(eventsPath: string): Promise<EarlierLife> {
  let life: EarlierLife = { begun: false, toldSteps: 0, toldEpochs: 0, workersLost: 0, steps: 0, lastAtMs: Date.now() };
  for await (const event of eventsOf(eventsPath, 0)) {
    life = { ...life, lastAtMs: Date.parse(event.time) };
    if (event.event === 'run_started') life = { ...life, begun: true, steps: event.steps };
    else if (event.event === 'step_committed') life = { ...life, toldSteps: event.step + 1, loss: event.loss };
    else if (event.event === 'step_skipped') life = { ...life, toldSteps: event.step + 1 };
    // What comes after it is made anew, and has other figures.
    else if (event.event === 'run_rolled_back')
      life = { ...life, toldSteps: event.toStep, toldEpochs: Math.min(life.toldEpochs, event.toEpoch) };
    else if (event.event === 'epoch_finished') life = { ...life, toldEpochs: event.epoch + 1 };
    else if (event.event === 'worker_lost') life = { ...life, workersLost: life.workersLost + 1 };
  }
  return life;
}
