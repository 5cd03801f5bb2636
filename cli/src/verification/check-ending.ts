/** Whether the trained model and the events tell the same end as the ledger. */
import type { LedgerRecord, RunEvent } from '#training';
import { answer, type Check, type Problem, unknown } from './check.js';
import type { Evidence } from './evidence.js';

const MODEL = { name: 'model', meaning: 'its weights are those of the last record, or of the epoch that was kept' };
const ENDING = { name: 'events', meaning: 'they tell the steps and the end that the ledger has' };
const MODEL_FILE = 'model/model.json';
const EVENTS_FILE = 'events.ndjson';

export function checkModel(evidence: Evidence): Check {
  const { model, ledger, events } = evidence;
  const told = events.kind === 'read' ? events.value : undefined;
  if (model.kind === 'absent') {
    if (told?.finished !== undefined) {
      return answer(MODEL, 'missing', [{ file: MODEL_FILE, message: 'it is not there, though the run has finished' }]);
    }
    const { code } = told?.failed ?? {};
    return unknown(
      MODEL,
      code === undefined ? 'the run has not ended: there is none yet' : `there is none: the run failed with ${code}`,
    );
  }
  if (model.kind === 'damaged') return answer(MODEL, 'damaged', [{ file: MODEL_FILE, message: model.message }]);
  const { weights, weightsSha256, run, kernelId, kept } = model.value;
  const last = ledger.records.at(-1);
  const compared: readonly Compared[] = [
    ...(ledger.damage === undefined && last !== undefined
      ? ([keptWeights(weights, kept?.step ?? ledger.records.length, ledger.records)] as const)
      : []),
    ['run', run, last?.run, "the ledger's is"],
    ['kernel', kernelId, last?.kernel, "the ledger's is"],
    ['kept step', kept?.step ?? ledger.records.length, told?.finished?.kept?.step, 'run_finished has'],
    ['weights have the sha256', weightsSha256, told?.finished?.weightsSha256, 'run_finished has'],
  ];
  return answer(MODEL, `weights sha256 ${weightsSha256}`, differing(MODEL_FILE, compared));
}

function keptWeights(weights: string, step: number, records: readonly LedgerRecord[]): Compared {
  const whose = step === records.length ? "the ledger's last record has" : `line ${step} of the ledger has`;
  return ['weights have the hash', weights, records[step - 1]?.weights ?? 'none', whose];
}

export function checkEnding(evidence: Evidence): Check {
  const { events, ledger } = evidence;
  if (events.kind === 'absent') return unknown(ENDING, 'there are none');
  if (events.kind === 'damaged') return answer(ENDING, 'damaged', [{ file: EVENTS_FILE, message: events.message }]);
  const { finished, failed, steps } = events.value;
  const ended = finished !== undefined;
  const problems = [
    ...steps.flatMap(({ line, event }) =>
      differingStep(line, event, ledger.records[event.step], ended && ledger.damage === undefined),
    ),
    ...(finished === undefined ? [] : problemsOfEnd(evidence, finished)),
  ];
  const end = ended
    ? `finished after ${finished.steps} steps`
    : failed === undefined
      ? 'not ended'
      : `failed: ${failed.code}`;
  return answer(ENDING, `${steps.length} steps told, ${end}`, problems);
}

function problemsOfEnd(
  { ledger, checkpoints }: Evidence,
  finished: Extract<RunEvent, { event: 'run_finished' }>,
): readonly Problem[] {
  // Behind a damaged line nothing is known; the damage is told where it is.
  if (ledger.damage !== undefined) return [];
  const { records, head } = ledger;
  const final = checkpoints.find(({ step }) => step === records.length)?.content;
  const saved = final?.kind === 'read' ? final.value : undefined;
  const ofCheckpoint = 'the last checkpoint has';
  return differing(EVENTS_FILE, [
    ['run_finished.steps', finished.steps, records.length, 'the ledger has'],
    ['run_finished.ledgerSha256', finished.ledgerSha256 ?? head, head, "the ledger's last line has"],
    ['run_finished.kernel', finished.kernel, records[0]?.kernel, "the ledger's is"],
    ...((finished.kept?.step ?? records.length) === records.length
      ? ([['run_finished.weightsSha256', finished.weightsSha256, saved?.weightsSha256, ofCheckpoint]] as const)
      : []),
    ['run_finished.optimizerSha256', finished.optimizerSha256, saved?.optimizerSha256, ofCheckpoint],
  ]);
}

/** @param all whether the ledger has to hold every step that was told */
function differingStep(
  line: number,
  told: Extract<RunEvent, { event: 'step_committed' }>,
  record: LedgerRecord | undefined,
  all: boolean,
): readonly Problem[] {
  if (record === undefined) {
    return all
      ? [{ file: EVENTS_FILE, line, message: `it tells of step ${told.step}, which the ledger does not have` }]
      : [];
  }
  const keys = ['epoch', 'samples', 'loss', 'learningRate', 'gradientNorm'] as const;
  return differing(
    EVENTS_FILE,
    keys.map((key) => [`${key} of step ${told.step}`, told[key], record[key], "the ledger's is"] as const),
  ).map((problem) => ({ ...problem, line }));
}

type Compared = readonly [what: string, actual: string | number, wanted: string | number | undefined, whose: string];

function differing(file: string, compared: readonly Compared[]): readonly Problem[] {
  return compared.flatMap(([what, actual, wanted, whose]) =>
    wanted === undefined || actual === wanted
      ? []
      : [{ file, message: `its ${what} is ${actual}, ${whose} ${wanted}` }],
  );
}
