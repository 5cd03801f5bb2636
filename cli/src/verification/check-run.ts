/** What can be proven of a run from its folder: one question after the other, each with its answer and its place. */
import {
  checkFigures,
  checkKernel,
  checkSamples,
  checkSteps,
  checkWriters,
  type LedgerGround,
  type LedgerProblem,
} from '#training';
import { answer, type Check, type CheckWords, type Problem, unknown } from './check.js';
import { checkCheckpoints } from './check-checkpoints.js';
import { checkEnding, checkModel } from './check-ending.js';
import type { Evidence } from './evidence.js';
import { groundOf, trainSamplesOf } from './ground.js';

const LEDGER = 'ledger.ndjson';

const WORDS = {
  seals: { name: 'ledger whole', meaning: 'every line has its seal and continues the line before it' },
  steps: { name: 'steps', meaning: 'steps are committed one by one, without gap or repeat' },
  writers: { name: 'writers', meaning: 'one run wrote it, and no coordinator after its successor' },
  kernel: { name: 'kernel', meaning: 'one kernel computed all of it' },
  samples: { name: 'samples', meaning: 'every sample of every epoch was trained on exactly once' },
  figures: { name: 'figures', meaning: 'losses, counts and rates follow from blocks and schedule' },
  job: { name: 'job', meaning: 'job.yaml is the one that was trained' },
  data: { name: 'data', meaning: 'ledger and model name the same data' },
} as const satisfies Record<string, CheckWords>;

/** Every check that needs no computing of steps, in the order they are told. */
export function checkRun(evidence: Evidence): readonly Check[] {
  const { ledger, fence } = evidence;
  const { records } = ledger;
  const ground = groundOf(evidence);
  const lines = `${records.length} records`;
  const folderFence = fence.kind === 'read' ? fence.value : undefined;
  const onGround = (
    words: CheckWords,
    says: string,
    look: (ground: LedgerGround) => readonly LedgerProblem[],
  ): Check => (typeof ground === 'string' ? unknown(words, ground) : answer(words, says, inLedger(look(ground))));
  return [
    checkSeals(evidence),
    answer(WORDS.steps, lines, inLedger(checkSteps(records))),
    answer(WORDS.writers, fencesIn(evidence), [
      ...inLedger(checkWriters(records, folderFence)),
      ...(fence.kind === 'damaged' ? [{ file: 'fence', message: fence.message }] : []),
    ]),
    answer(WORDS.kernel, records[0]?.kernel ?? 'no step yet', inLedger(checkKernel(records))),
    onGround(WORDS.samples, samplesIn(evidence), (given) => checkSamples(records, given)),
    onGround(WORDS.figures, lines, (given) => checkFigures(records, given)),
    checkJob(evidence),
    checkData(evidence),
    checkCheckpoints(evidence),
    checkModel(evidence),
    checkEnding(evidence),
  ];
}

function checkSeals({ ledger, events }: Evidence): Check {
  const { records, damage, tornBytes } = ledger;
  const line = records.length + 1;
  const ended = events.kind === 'read' && events.value.finished !== undefined;
  if (damage !== undefined) {
    const message = damage.message.slice(damage.message.indexOf('the ledger is damaged'));
    return answer(WORDS.seals, `${records.length} lines before the damage`, [{ file: LEDGER, line, message }]);
  }
  if (tornBytes > 0 && ended) {
    const message = `${tornBytes} bytes of a line that has no end, though the run has finished`;
    return answer(WORDS.seals, `${records.length} lines`, [{ file: LEDGER, line, message }]);
  }
  const torn = tornBytes > 0 ? `, then ${tornBytes} bytes that a crash left of a line` : '';
  return answer(WORDS.seals, `${records.length} lines${torn}`, []);
}

function checkJob({ job, ledger, model }: Evidence): Check {
  const [first] = ledger.records;
  if (job.kind === 'absent') return answer(WORDS.job, 'missing', [{ file: 'job.yaml', message: 'it is not there' }]);
  if (job.kind === 'damaged') return answer(WORDS.job, 'unreadable', [{ file: 'job.yaml', message: job.message }]);
  const { sha256 } = job.value;
  const named: readonly (readonly [string, string | undefined])[] = [
    [LEDGER, first?.origin?.jobSha256],
    ['model/model.json', model.kind === 'read' ? model.value.jobSha256 : undefined],
  ];
  const known = named.filter(([, wanted]) => wanted !== undefined);
  if (known.length === 0) return unknown(WORDS.job, 'neither ledger nor model names the job they are of');
  return answer(
    WORDS.job,
    `sha256 ${sha256}`,
    known.flatMap(([by, wanted]) =>
      wanted === sha256 ? [] : [{ file: 'job.yaml', message: `its sha256 is ${sha256}, ${by} names ${wanted}` }],
    ),
  );
}

function checkData({ ledger, model }: Evidence): Check {
  const origin = ledger.records[0]?.origin;
  const dataset = model.kind === 'read' ? model.value.dataset : undefined;
  const sha256 = origin?.dataSha256 ?? dataset?.dataSha256;
  if (sha256 === undefined) return unknown(WORDS.data, 'neither ledger nor model names the data they are of');
  const differs = origin !== undefined && dataset !== undefined && origin.dataSha256 !== dataset.dataSha256;
  const message = `it names data of sha256 ${dataset?.dataSha256}, the ledger of ${origin?.dataSha256}`;
  return answer(WORDS.data, `sha256 ${sha256}`, differs ? [{ file: 'model/model.json', message }] : []);
}

function inLedger(problems: readonly LedgerProblem[]): readonly Problem[] {
  return problems.map(({ line, message }) => ({ file: LEDGER, line, message }));
}

function fencesIn({ ledger: { records } }: Evidence): string {
  const fences = [...new Set(records.map(({ fence }) => fence))];
  return fences.length <= 1 ? `fence ${fences[0] ?? 'none yet'}` : `fences ${fences.join(', ')}: it was resumed`;
}

function samplesIn(evidence: Evidence): string {
  const { records } = evidence.ledger;
  const samples = records.reduce((sum, record) => sum + record.samples, 0);
  return `${samples} in ${records.length} steps, of ${trainSamplesOf(evidence) ?? 'unknown'} an epoch`;
}
