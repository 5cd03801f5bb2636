import { compileModel, countWindows, type EpochWindows, epochWindows, type WindowCut } from '#kernel';
import type { WindowedRows, WorkerEngineOptions } from './engine.js';
import { MissingRowError } from './engine-errors.js';
import { floatsAt, type SharedMemory } from './linear-memory.js';
import { type WorkerMemoryPlan, windowAddresses } from './memory-plan.js';

/** @throws MissingRowError when rows of these positions are in no window that is held */
export function checkWindows(windows: WindowedRows | undefined, epoch: number, begin: number, end: number): void {
  if (windows === undefined) return;
  const missing = windows.of(epoch, begin, end).find((window) => !windows.holds(window));
  if (missing !== undefined) throw new MissingRowError('train', begin);
}

/** The calling thread's side of the two windows in the kernel's memory; nothing in a run without windows. */
export function windowedRows(
  options: WorkerEngineOptions,
  plan: WorkerMemoryPlan,
  memory: SharedMemory,
): WindowedRows | undefined {
  const { windows, model, seed, shuffle = true, trainSamples } = options;
  const { trainingRows } = plan;
  if (windows === undefined || trainingRows === undefined) return undefined;
  const { inputs } = model;
  const { targetCount } = compileModel(model);
  const places = [0, 1].map((place) => windowAddresses(trainingRows, windows, place, inputs, targetCount));
  const count = countWindows(trainSamples, windows);
  const whole: (number | undefined)[] = [undefined, undefined];
  const epochs = new Map<number, EpochWindows>();

  /** Two at the most are in hand: the epoch that ends, and the one whose first window is fetched. */
  function epochOf(epoch: number): EpochWindows {
    let found = epochs.get(epoch);
    if (found === undefined) {
      found = epochWindows(seed, epoch, trainSamples, windows as WindowCut, shuffle); // checked above
      for (const other of epochs.keys()) if (epochs.size >= 2) epochs.delete(other);
      epochs.set(epoch, found);
    }
    return found;
  }

  const windowOf = (window: number) => epochOf(Math.floor(window / count)).window(window % count);

  return {
    of(epoch, begin, end) {
      if (begin === end) return [];
      const { windowOf: within } = epochOf(epoch);
      const first = epoch * count + within(begin);
      const last = epoch * count + within(end - 1);
      if (last > first + 1) throw new RangeError(`positions [${begin}, ${end}) lie in more than two windows`);
      return first === last ? [first] : [first, last];
    },
    blocksOf: (window) => windowOf(window).blocks,
    begin(window) {
      whole[window % 2] = undefined;
    },
    put(window, at, { features, targets }) {
      const { begin, end, blocks } = windowOf(window);
      const firstRow = at * windows.blockRows;
      const rows = Math.min(windows.blockRows, end - begin - firstRow);
      if (blocks[at] === undefined || features.length !== rows * inputs || targets.length !== rows * targetCount) {
        throw new RangeError(
          `block ${at} of window ${window} has ${features.length} features and ${targets.length} targets; ` +
            `${rows} rows of ${inputs} and ${targetCount} are needed`,
        );
      }
      const place = places[window % 2]!; // there are two
      floatsAt(memory, place.features + 4 * inputs * firstRow, features.length).set(features);
      floatsAt(memory, place.targets + 4 * targetCount * firstRow, targets.length).set(targets);
    },
    finish(window) {
      whole[window % 2] = window;
    },
    holds: (window) => whole[window % 2] === window,
  };
}
