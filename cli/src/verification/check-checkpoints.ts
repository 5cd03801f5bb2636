import { answer, type Check, type Problem, unknown } from './check.js';
import type { CheckpointFacts, Evidence } from './evidence.js';
import { groundOf } from './ground.js';

const WORDS = { name: 'checkpoints', meaning: 'each is whole and has the weights of its step in the ledger' };

export function checkCheckpoints(evidence: Evidence): Check {
  const { checkpoints } = evidence;
  if (checkpoints.length === 0) return unknown(WORDS, 'there are none');
  const problems = checkpoints.flatMap(({ file, step, content }): readonly Problem[] => {
    if (content.kind === 'absent') return [{ file, message: 'it is not a file' }];
    if (content.kind === 'damaged') return [{ file, message: content.message }];
    const messages = problemsOf(content.value, evidence);
    if (content.value.step !== step) messages.unshift(`it holds step ${content.value.step}`);
    return messages.map((message) => ({ file, message }));
  });
  const steps = checkpoints.map(({ step }) => step);
  const shown = steps.length <= 6 ? steps.join(', ') : `${steps[0]} to ${steps.at(-1)}, ${steps.length} of them`;
  return answer(WORDS, `of step ${shown}`, problems);
}

function problemsOf(found: CheckpointFacts, evidence: Evidence): string[] {
  const { ledger, job, fence } = evidence;
  const { records, damage } = ledger;
  const ground = groundOf(evidence);
  const problems: string[] = [];
  const compare = (what: string, actual: string | number, wanted: string | number | undefined, whose: string): void => {
    if (wanted !== undefined && actual !== wanted) problems.push(`its ${what} is ${actual}, ${whose} ${wanted}`);
  };
  const first = records[0];
  compare('run', found.run, first?.run, "the ledger's is");
  compare('kernel', found.kernelId, first?.kernel, "the ledger's is");
  compare('seed', found.seed, job.kind === 'read' ? job.value.spec.train.seed : undefined, "job.yaml's is");
  if (typeof ground !== 'string') {
    compare('epoch', found.epoch, Math.floor(found.step / ground.shape.stepsPerEpoch), 'after its steps it must be');
  }
  if (fence.kind === 'read' && found.fence > fence.value) {
    problems.push(`fence ${found.fence} wrote it, but the folder has never given out more than ${fence.value}`);
  }
  if (found.step > records.length) {
    // Behind a damaged line nothing is known; the damage is told where it is.
    if (damage === undefined) problems.push(`it holds ${found.step} steps, the ledger ${records.length}`);
  } else if (found.step > 0) {
    compare(
      'weights have the hash',
      found.weights,
      records[found.step - 1]?.weights,
      `line ${found.step} of the ledger has`,
    );
  }
  return problems;
}
