import fc from 'fast-check';
import { expect, test } from 'vitest';
import { fence, itemId, runId, type SplitName, step, type WorkItem } from '#training';
import { readAverageItem, readWorkerItem } from './item-data.js';

const owner = fc.record({ run: fc.constantFrom(runId('digits-7f3a'), runId('a')), fence: fc.nat().map(fence) });
const span = fc
  .tuple(fc.nat(), fc.integer({ min: 1, max: 5000 }))
  .map(([begin, size]) => [begin, begin + size] as const);
const block = fc
  .tuple(fc.integer({ min: 0, max: 10 }), fc.nat(100))
  .map(([power, index]) => ({ begin: index * 2 ** power, end: (index + 1) * 2 ** power }));
const gradient = fc.record({ owner, step: fc.nat(), epoch: fc.nat(), span, block, issue: fc.nat(3) }).map((value) => ({
  kind: 'gradient' as const,
  ...value.owner,
  step: step(value.step),
  epoch: value.epoch,
  firstPosition: value.span[0],
  endPosition: value.span[1],
  block: value.block,
  issue: value.issue,
}));
const evaluation = fc
  .record({
    owner,
    version: fc.nat(),
    split: fc.constantFrom<SplitName>('train', 'validation', 'test'),
    part: fc.nat(),
    span,
    issue: fc.nat(3),
  })
  .map((value) => ({
    kind: 'evaluation' as const,
    ...value.owner,
    version: step(value.version),
    split: value.split,
    part: value.part,
    begin: value.span[0],
    end: value.span[1],
    issue: value.issue,
  }));

const throughJson = (item: WorkItem): Record<string, unknown> => JSON.parse(JSON.stringify(item));

test('an item read back from JSON is the item that was announced', () => {
  fc.assert(
    fc.property(fc.oneof(gradient, evaluation), (item) => {
      expect(readWorkerItem(itemId(item), throughJson(item))).toEqual(item);
    }),
  );
});

test('an item with any one field missing, of another type or out of range is refused with a reason', () => {
  const wrong = fc.constantFrom<unknown>(undefined, null, 'x', -1, 0.5, {}, [], Number.NaN);
  fc.assert(
    fc.property(fc.oneof(gradient, evaluation), fc.nat(), wrong, (item, pick, value) => {
      const data = throughJson(item);
      const names = Object.keys(data);
      const name = names[pick % names.length] ?? 'kind';
      data[name] = value;
      expect(() => readWorkerItem(itemId(item), data), name).toThrow();
    }),
  );
});

test('data that belongs under another id is refused and names that id', () => {
  const item = { kind: 'average', run: runId('r'), fence: fence(1), step: step(4) } as const;
  expect(() => readAverageItem('r.1.5.average', throughJson(item))).toThrow('the data is that of r.1.4.average');
});

test('a block that is not an aligned power of two is refused', () => {
  const item = { kind: 'gradient', run: 'r', fence: 1, step: 0, epoch: 0, firstPosition: 0, endPosition: 8 };
  for (const [begin, end] of [
    [0, 3],
    [1, 3],
    [2, 6],
  ] as const) {
    expect(() => readWorkerItem(`r.1.0.${begin}-${end}`, { ...item, block: { begin, end } })).toThrow(/aligned power/);
  }
});

test('what comes along for a trace is kept, and is never a reason to refuse an item', () => {
  const average = { kind: 'average', run: 'r', fence: 1, step: 4 };
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
  const read = (trace: unknown) => readAverageItem('r.1.4.average', { ...average, trace });
  expect(read({ traceparent })).toEqual({ ...average, trace: { traceparent } });
  const garbage = [7, null, 'text', [], {}, { 'a:b': 'x' }, { traceparent: 1 }, { traceparent: 'x'.repeat(513) }];
  for (const trace of garbage) expect(read(trace)).toEqual(average);
});

test('a worker refuses an average and the averager refuses a gradient', () => {
  const average = { kind: 'average', run: 'r', fence: 1, step: 4 };
  expect(() => readWorkerItem('r.1.4.average', average)).toThrow('not for a worker');
  const measure = {
    kind: 'evaluation',
    run: 'r',
    fence: 1,
    version: 4,
    split: 'test',
    part: 0,
    begin: 0,
    end: 1,
    issue: 0,
  };
  expect(() => readAverageItem('r.1.4.test-0', measure)).toThrow('not for the averager');
});
