/** What a plan says of local steps, both ways. */
import type { LocalSettings } from '#training';
import type { Fields } from './fields.js';
import { leasesFromMessage, leasesToMessage } from './lease-message.js';
import type { PlainMessage } from './proto-definitions.js';

export function localToMessage({ steps, batch, microBatches, stepsPerEpoch, ...update }: LocalSettings): PlainMessage {
  const { totalSteps, ...rest } = update;
  return { steps, batch, microBatches, stepsPerEpoch, update: leasesToMessage({ ...rest, steps: totalSteps }) };
}

export function localFromMessage(fields: Fields): LocalSettings {
  const { steps: totalSteps, ...update } = leasesFromMessage(fields.message('update'));
  return {
    steps: fields.positive('steps'),
    batch: fields.positive('batch'),
    microBatches: fields.positive('microBatches'),
    stepsPerEpoch: fields.positive('stepsPerEpoch'),
    totalSteps,
    ...update,
  };
}
