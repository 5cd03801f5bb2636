import { expect, test } from 'vitest';
import { FRESH_STOP_STATE, judgeEpoch, type StopRules } from './stop-rules.js';

/** The judgements of one epoch after the other. */
function judge(rules: StopRules, losses: readonly number[], of: (value: number) => object = (loss) => ({ loss })) {
  let stop = FRESH_STOP_STATE;
  return losses.map((value) => {
    const judgement = judgeEpoch(stop, rules, { train: { loss: 1 }, validation: { loss: 1, ...of(value) } });
    stop = judgement.stop;
    return judgement;
  });
}

test('patience ends a run after so many epochs in a row without a new best', () => {
  const stopped = judge({ patience: 2 }, [3, 2, 2, 1, 1, 1]).map(({ stoppedBy }) => stoppedBy);
  expect(stopped).toEqual([undefined, undefined, undefined, undefined, undefined, 'patience']);
});

test('of equal epochs the first is the best, and of a figure that grows the largest', () => {
  expect(judge({}, [2, 2, 1, 3]).map(({ best }) => best)).toEqual([2, undefined, 1, undefined]);
  const areas = judge({ metric: 'rocAuc' }, [0.7, 0.6, 0.8, 0.8], (rocAuc) => ({ rocAuc }));
  expect(areas.map(({ best }) => best)).toEqual([0.7, undefined, 0.8, undefined]);
});

test('an epoch without the watched figure, or with NaN, is no new best', () => {
  expect(judge({ metric: 'rocAuc' }, [1]).map(({ best }) => best)).toEqual([undefined]);
  expect(judge({}, [Number.NaN, 5]).map(({ best }) => best)).toEqual([undefined, 5]);
});

test('without a validation split the training loss is watched', () => {
  expect(judgeEpoch(FRESH_STOP_STATE, {}, { train: { loss: 0.5 } }).best).toBe(0.5);
});
