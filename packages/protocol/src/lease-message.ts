/** What a plan says of leases, both ways: the optimizer, its schedule, and how gradients are clipped and weights decay. */
import type { OptimizerSpec, ScheduleSpec } from '#kernel';
import type { LeaseSettings } from '#training';
import { type Fields, invalidField } from './fields.js';
import type { PlainMessage } from './proto-definitions.js';

export function leasesToMessage({ optimizer, schedule, rollbacks = [], ...rest }: LeaseSettings): PlainMessage {
  const { kind, ...settings } = optimizer;
  const { kind: after, ...shape } = schedule.after;
  return {
    ...rest,
    optimizer: { [kind]: settings },
    schedule: { warmup: schedule.warmup, [after]: shape },
    rollbacks: rollbacks.map((toStep) => ({ toStep })),
  };
}

export function leasesFromMessage(fields: Fields): LeaseSettings {
  return {
    optimizer: optimizerFrom(fields.message('optimizer')),
    schedule: scheduleFrom(fields.message('schedule')),
    steps: fields.positive('steps'),
    ...(fields.has('clipNorm') ? { clipNorm: fields.finite('clipNorm') } : {}),
    ...(fields.has('l2') ? { l2: fields.finite('l2') } : {}),
    ...rollbacksFrom(fields),
  };
}

function rollbacksFrom(fields: Fields): Pick<LeaseSettings, 'rollbacks'> {
  const rollbacks = fields.messages('rollbacks').map((each) => each.natural('toStep'));
  return rollbacks.length === 0 ? {} : { rollbacks };
}

function optimizerFrom(fields: Fields): OptimizerSpec {
  const kind = (['sgd', 'momentum', 'adagrad', 'rmsprop', 'adam', 'adamw', 'lamb'] as const).find((name) =>
    fields.has(name),
  );
  if (kind === undefined) throw invalidField(fields.path, 'is an optimizer this version does not know');
  const of = fields.message(kind);
  const learningRate = of.finite('learningRate');
  switch (kind) {
    case 'sgd':
      return { kind, learningRate };
    case 'momentum':
      return { kind, learningRate, momentum: of.finite('momentum'), nesterov: of.flag('nesterov') };
    case 'adagrad':
      return { kind, learningRate, epsilon: of.finite('epsilon') };
    case 'rmsprop':
      return {
        kind,
        learningRate,
        decay: of.finite('decay'),
        epsilon: of.finite('epsilon'),
        momentum: of.finite('momentum'),
      };
    case 'adam':
      return { kind, learningRate, ...momentsFrom(of) };
    case 'adamw':
    case 'lamb':
      return { kind, learningRate, ...momentsFrom(of), weightDecay: of.finite('weightDecay') };
    default:
      return kind satisfies never;
  }
}

function momentsFrom(of: Fields) {
  return { beta1: of.finite('beta1'), beta2: of.finite('beta2'), epsilon: of.finite('epsilon') };
}

function scheduleFrom(fields: Fields): ScheduleSpec {
  return { warmup: fields.natural('warmup'), after: shapeFrom(fields) };
}

function shapeFrom(fields: Fields): ScheduleSpec['after'] {
  if (fields.has('constant')) return { kind: 'constant' };
  if (fields.has('step')) {
    const of = fields.message('step');
    return { kind: 'step', every: of.positive('every'), factor: of.finite('factor') };
  }
  if (fields.has('exponential')) return { kind: 'exponential', factor: fields.message('exponential').finite('factor') };
  for (const kind of ['linear', 'cosine'] as const) {
    if (fields.has(kind)) return { kind, to: fields.message(kind).finite('to') };
  }
  throw invalidField(fields.path, 'is a schedule this version does not know');
}
