import { compileModel, type EpochWindows, epochWindows, type Kernel, type SampleWindow, type WindowCut } from '#kernel';
import { floatsAt } from './linear-memory.js';
import { windowAddresses } from './memory-plan.js';
import type { RowAddresses, RowStaging } from './row-staging.js';
import type { ThreadSetup } from './thread-setup.js';

/**
 * Training rows from the two windows in the kernel's memory. That they are there is the calling thread's to know: it starts
 * no call that reads others.
 */
export function windowStaging(
  { index, memory, options, plan }: ThreadSetup & { role: 'worker' },
  windows: WindowCut,
  kernel: Pick<Kernel, 'gatherRows' | 'sampleIndexes'>,
): Pick<RowStaging, 'inPlace' | 'copyTraining'> {
  const { model, seed, shuffle = true, trainSamples } = options;
  const { inputs } = model;
  const { targetCount } = compileModel(model);
  const { indexes, orderKeys } = plan.threads[index]!; // one entry a thread was planned
  const { trainingRows } = plan;
  if (trainingRows === undefined) throw new Error('a run in windows was planned without room for them');
  const places = [0, 1].map((place) => windowAddresses(trainingRows, windows, place, inputs, targetCount));
  const keys = new Uint32Array(memory.buffer, orderKeys);
  let current: { readonly epoch: number; readonly windows: EpochWindows } | undefined;
  let keyed: SampleWindow | undefined;

  function windowsOf(epoch: number): EpochWindows {
    if (current?.epoch !== epoch) {
      current = { epoch, windows: epochWindows(seed, epoch, trainSamples, windows, shuffle) };
    }
    return current.windows;
  }

  const behind = ({ features, targets }: RowAddresses, row: number): RowAddresses => ({
    features: features + 4 * inputs * row,
    targets: targets + 4 * targetCount * row,
  });

  /** Rows at positions of one window. */
  function copyWithin(from: RowAddresses, window: SampleWindow, begin: number, end: number, into: RowAddresses): void {
    const { order } = window;
    const count = end - begin;
    const first = begin - window.begin;
    if (order === undefined) {
      const rows = behind(from, first);
      floatsAt(memory, into.features, count * inputs).set(floatsAt(memory, rows.features, count * inputs));
      floatsAt(memory, into.targets, count * targetCount).set(floatsAt(memory, rows.targets, count * targetCount));
      return;
    }
    if (keyed !== window) keys.set(order.keys);
    keyed = window;
    kernel.sampleIndexes(orderKeys, order.bits, window.end - window.begin, first, count, indexes);
    kernel.gatherRows(from.features, inputs, indexes, count, into.features);
    kernel.gatherRows(from.targets, targetCount, indexes, count, into.targets);
  }

  return {
    inPlace(epoch, begin, end) {
      if (shuffle || begin === end) return undefined;
      const all = windowsOf(epoch);
      const number = all.windowOf(begin);
      const window = all.window(number);
      if (end > window.end) return undefined;
      return behind(places[(epoch * all.count + number) % 2]!, begin - window.begin);
    },
    copyTraining(epoch, begin, end, into, row = 0) {
      const all = windowsOf(epoch);
      for (let from = begin; from < end; ) {
        const number = all.windowOf(from);
        const window = all.window(number);
        const to = Math.min(end, window.end);
        const place = places[(epoch * all.count + number) % 2]!;
        copyWithin(place, window, from, to, behind(into, row + from - begin));
        from = to;
      }
    },
  };
}
