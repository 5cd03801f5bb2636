/** Where a run stands, as its checkpoints keep it: plain JSON. */
import type { LossSums } from '#kernel';
import { NO_SUMS } from './epoch-metrics.js';
import { step as toStep } from './identities.js';
import type { BestEpoch, EpochResult, RunPosition, RunState } from './run-state.js';
import { FRESH_STOP_STATE, type StopState } from './stop-rules.js';

type Progress = Readonly<Record<string, unknown>>;

/** What a checkpoint keeps of a run besides weights, optimizer state and step. A loss that is not yet known is left out. */
export function progressOf(now: RunState): Progress {
  const { epochSums, stop, lastEpoch, best, judging, stoppedBy, skippedInARow } = now;
  const known = Object.entries(stop).filter(([, value]) => Number.isFinite(value));
  return {
    epochSums,
    stop: Object.fromEntries(known),
    ...(lastEpoch === undefined ? {} : { lastEpoch }),
    ...(best === undefined ? {} : { best }),
    judging,
    ...(skippedInARow === 0 ? {} : { skippedInARow }),
    // The user's own end is no reason not to go on.
    ...(stoppedBy === undefined || stoppedBy === 'user' ? {} : { stoppedBy }),
  };
}

/** The inverse of `progressOf`. @throws RangeError when it can't be what that wrote */
export function positionFrom(version: number, progress: Progress): RunPosition {
  const { lastEpoch, best, judging, stoppedBy, skippedInARow } = progress;
  if (typeof judging !== 'boolean') throw new RangeError('its progress does not say whether an epoch is being judged');
  return {
    version: toStep(version),
    epochSums: numbersLike(NO_SUMS, progress.epochSums),
    stop: numbersLike<StopState>(FRESH_STOP_STATE, progress.stop),
    judging,
    ...(isEpoch(lastEpoch) ? { lastEpoch } : {}),
    ...(isBest(best) ? { best: { ...best, step: toStep(best.step) } } : {}),
    ...(typeof skippedInARow === 'number' ? { skippedInARow } : {}),
    ...(stoppedBy === 'tolerance' || stoppedBy === 'patience' ? { stoppedBy } : {}),
  };
}

/** The fields of `pattern` with the values found; where there is none and the pattern has an infinity, that. */
function numbersLike<Shape extends LossSums | StopState>(pattern: Shape, found: unknown): Shape {
  if (typeof found !== 'object' || found === null) throw new RangeError('its progress lacks figures');
  const values = new Map<string, unknown>(Object.entries(found));
  const read = Object.entries(pattern).map(([key, otherwise]) => {
    const value = values.get(key) ?? (Number.isFinite(otherwise) ? undefined : otherwise);
    if (typeof value !== 'number') throw new RangeError(`its progress lacks ${key}`);
    return [key, value];
  });
  // Every key of the pattern, each with a number: that is its shape.
  return Object.fromEntries(read) as Shape;
}

function isBest(value: unknown): value is Omit<BestEpoch, 'step'> & { readonly step: number } {
  return isEpoch(value) && 'step' in value && typeof value.step === 'number' && 'value' in value;
}

function isEpoch(value: unknown): value is EpochResult {
  return typeof value === 'object' && value !== null && 'epoch' in value && 'train' in value;
}
