/** The model of the best epoch is the same one whoever counted, and whenever the coordinator died. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { loadModel, newestCheckpoint, openRunFolder } from '#storage';
import { type FailpointName, type RunEvent, runId } from '#training';
import { runCommand } from '../support/command.js';
import { finished, openLives } from '../support/coordinator-life.js';
import { digitsJob } from '../support/jobs.js';

const RUN = runId('best');
/** Steps so long that later epochs undo what earlier ones have learned: the best is not the last. */
const settings = {
  ...{ epochs: 6, batch: 256, microBatches: 4, keep: 'best', metric: 'macroF1' },
  optimizer: '{ sgd: { learningRate: 4 } }',
};
const small = digitsJob(settings, '[{ dense: 16 }, relu]');
const job = { ...small, text: `${small.text}checkpoint: { everySteps: 3 }\n` };

function told(events: readonly RunEvent[]) {
  const { kept, validation, test, train, weightsSha256, optimizerSha256 } = finished(events);
  return { kept, validation, test, train, weightsSha256, optimizerSha256 };
}

async function runWith(workers: number, grain: 'step' | 'run', failpoints?: `${FailpointName}:${number}:kill`) {
  const lives = await openLives(grain);
  const life = await lives.live(failpoints === undefined ? {} : { failpoints });
  await lives.submit(job, RUN);
  await Promise.all(Array.from({ length: workers }, () => lives.work()));
  if (failpoints !== undefined) {
    expect((await life.ended).signal).toBe('SIGKILL');
    await lives.live();
  }
  return { lives, events: await lives.follow(RUN) };
}

let calm: ReturnType<typeof told>;
let epochs: readonly (RunEvent & { event: 'epoch_finished' })[];

describe('the best epoch', { timeout: 120_000 }, () => {
  beforeAll(async () => {
    const { lives, events } = await runWith(1, 'step');
    await using _ = lives;
    calm = told(events);
    epochs = events.filter((event) => event.event === 'epoch_finished');
    const run = join(lives.runsDirectory, RUN);
    const model = await loadModel(join(run, 'model'));
    expect(model).toMatchObject({ kept: calm.kept, weightsSha256: calm.weightsSha256 });
    expect(model.metrics).toEqual({ train: calm.train, validation: calm.validation, test: calm.test });
    const { newest } = await newestCheckpoint(await openRunFolder(lives.runsDirectory, RUN));
    expect(newest?.checkpoint.step).toBe(finished(events).steps);
    expect(newest?.checkpoint.best).toEqual(model.weights);
    expect(newest?.checkpoint.weights).not.toEqual(model.weights);
    const verified = await runCommand(['verify', run]);
    expect(verified).toMatchObject({ code: 0 });
  }, 60_000);

  test('is the one with the best figure, and its weights and figures are the model’s', () => {
    const scores = epochs.map(({ validation }) => validation?.macroF1 ?? Number.NaN);
    const best = scores.indexOf(Math.max(...scores));
    expect(best).toBeLessThan(scores.length - 1);
    expect(calm.kept).toEqual({
      epoch: best,
      step: epochs[best]?.step,
      metric: 'validation.macroF1',
      value: scores[best],
    });
    expect(calm.validation).toMatchObject({ ...epochs[best]?.validation });
    expect(calm.validation?.confusion?.flat().reduce((sum, count) => sum + count, 0)).toBe(
      calm.validation?.classes?.reduce((sum, { samples }) => sum + samples, 0),
    );
    expect(calm.test?.classes).toHaveLength(10);
    expect(epochs.filter((event) => event.best).at(-1)?.epoch).toBe(best);
  });

  test.each([
    [3, 'step'],
    [2, 'run'],
  ] as const)('is the same with %i workers and grain %s, to the last bit and figure', async (workers, grain) => {
    const { lives, events } = await runWith(workers, grain);
    await using _ = lives;
    expect(told(events)).toEqual(calm);
  });

  test.each(['epoch-change:4:kill', 'epoch-change:6:kill', 'before-model:1:kill'] as const)(
    'is the same when the coordinator dies: %s',
    async (failpoints) => {
      const { lives, events } = await runWith(2, 'step', failpoints);
      await using _ = lives;
      expect(told(events)).toEqual(calm);
    },
  );
});
