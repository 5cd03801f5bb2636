/** What is printed when a run is over. */
import type { RunEvent, StoppedBy } from '#training';
import { formatCount, formatPercent, formatSeconds, formatSignificant, plural } from '../plain-numbers.js';
import type { Paint } from '../terminal.js';
import { formatMetrics } from './run-view.js';

type Finished = Extract<RunEvent, { event: 'run_finished' }>;

const stopReasons: Readonly<Record<StoppedBy, string>> = {
  epochs: 'the last epoch of the job is done',
  steps: 'the last step of the job is done',
  tolerance: 'the training loss has converged (train.stop.tolerance)',
  patience: 'no better train.metric for train.stop.patience epochs',
  user: 'you asked it to',
};

/** Lines for stdout. `next` is the command to try now. */
export function renderSummary(finished: Finished, next: string, paint: Paint): string {
  const rows: readonly (readonly [string, string])[] = [
    [
      'stopped',
      `after ${plural(finished.steps, 'step')}, ${plural(finished.epochs, 'epoch')}: ${stopReasons[finished.stoppedBy]}`,
    ],
    [
      'time',
      `${formatSeconds(finished.seconds)} · ${formatCount(finished.samplesPerSecond)} samples/s · ` +
        `goodput ${formatPercent(finished.goodput)}`,
    ],
    ...(finished.workersLost + finished.blocksReissued === 0 ? [] : [['faults', faults(finished)] as const]),
    ...(finished.kept === undefined ? [] : [['kept', keptEpoch(finished.kept)] as const]),
    ...otherMetrics(finished),
    ['weights', `sha256 ${finished.weightsSha256}`],
    ...(finished.ledgerSha256 === undefined ? [] : [['ledger', `sha256 ${finished.ledgerSha256}`] as const]),
    ['ran on', `${finished.redis.engine} ${finished.redis.version} · kernel ${finished.kernel}`],
    ...(finished.kernelReason === undefined ? [] : [['', `auto: ${finished.kernelReason}`] as const]),
    ['model', finished.modelPath],
    ['files', `${finished.runPath}: job.yaml, events.ndjson, ledger.ndjson, checkpoints/`],
    ['next', next],
  ];
  return [
    `${paint('green', '✓')} ${paint('bold', finished.run)}  ${outcome(finished)}`,
    ...rows.map(([name, value]) => `  ${paint('dim', name.padEnd(8))} ${value}`),
  ].join('\n');
}

function keptEpoch({ epoch, step, metric, value }: NonNullable<Finished['kept']>): string {
  return `epoch ${epoch + 1}, step ${step}: the best ${metric}, ${formatSignificant(value)}`;
}

/** The metrics of the most telling split there is. */
function outcome({ test, validation, train }: Finished): string {
  if (test !== undefined) return `test ${formatMetrics(test)}`;
  if (validation !== undefined) return `validation ${formatMetrics(validation)}`;
  return train === undefined ? 'ended before its first step' : `training ${formatMetrics(train)}`;
}

/** Those of the other splits: what the model was shown, and what it was watched with. */
function otherMetrics({ test, validation, train }: Finished): readonly (readonly [string, string])[] {
  const others = [
    ...(test === undefined || validation === undefined ? [] : [`validation ${formatMetrics(validation)}`]),
    ...((test ?? validation) === undefined || train === undefined ? [] : [`training ${formatMetrics(train)}`]),
  ];
  return others.length === 0 ? [] : [['metrics', others.join(' · ')]];
}

function faults({ workersLost, blocksReissued }: Finished): string {
  const lost = workersLost === 0 ? [] : [`${plural(workersLost, 'worker')} lost`];
  const again = blocksReissued === 0 ? [] : [`${plural(blocksReissued, 'block')} run again`];
  return `${[...lost, ...again].join(', ')}; the weights are the same as without`;
}
