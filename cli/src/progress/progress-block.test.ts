import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import type { Paint } from '../terminal.js';
import { NARROW, renderBlock, renderLine } from './progress-block.js';
import { epochAt, eventAt, joined, lost, started, stepAt } from './run-events.fixture.js';
import { advanceView, emptyView, type RunView } from './run-view.js';

const plain: Paint = (_style, text) => text;

function viewOf(...events: readonly RunEvent[]): RunView {
  return events.reduce(advanceView, emptyView);
}

const midway = viewOf(
  started,
  joined('w0'),
  joined('w1'),
  ...Array.from({ length: 90 }, (_, step) => stepAt((step + 1) * 40, step)),
  epochAt(3600, 14),
);

test('a wide terminal shows position, quality, speed, phases and what happened', () => {
  const [head, rates, page, ...notices] = renderBlock(midway, 140, plain);
  expect(head).toBe(
    'epoch 15/30  ━━━━━━━━━━━───────────  50 %  step 90/180  loss 0.2134  val accuracy 93.12 %  loss 0.2410  lr 8.0e-4',
  );
  expect(rates).toBe(
    ' 5,988 samples/s  0:04 left  2 workers  40 ms/step (compute 29 · wire 7.0 · average 3.0 · other 1.0)',
  );
  expect(page).toBe(' live page http://127.0.0.1:9464/');
  expect(notices).toHaveLength(3);
});

test('a narrow terminal gets one line', () => {
  expect(renderBlock(midway, NARROW - 1, plain)).toEqual(['epoch 15/30  50 %  step 90/180  loss 0.2134']);
});

test('no line is wider than the terminal, whatever its width and whatever the events say', () => {
  const talkative = advanceView(midway, eventAt(3700, 'run_stopping', { reason: 'x'.repeat(300) }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.constantFrom(midway, talkative, emptyView), (columns, view) => {
      for (const line of renderBlock(view, columns, plain)) expect(line.length).toBeLessThanOrEqual(columns);
    }),
  );
});

test('colour changes nothing but the colour', () => {
  const marked: Paint = (style, text) => `<${style}>${text}</${style}>`;
  const stripped = renderBlock(midway, 100, marked).map((line) => line.replaceAll(/<\/?[a-z]+>/g, ''));
  expect(stripped).toEqual(renderBlock(midway, 100, plain));
});

test('before the first event, before the first step and after a stop it says so', () => {
  expect(renderBlock(emptyView, 80, plain)).toEqual(['starting']);
  expect(renderBlock(viewOf(eventAt(0, 'run_queued', { job: 'digits' })), 80, plain)[0]).toBe('digits-7f3a: preparing');
  expect(renderBlock(viewOf(started), 80, plain)[0]).toBe('epoch 1/30  ──────────────────────  0 %  step 0/180');
  const stopping = advanceView(midway, eventAt(3700, 'run_stopping', { reason: 'asked to' }));
  expect(renderBlock(stopping, 100, plain)[1]).toContain('  stopping  2 workers');
});

test('the bar is full at the end and never overflows', () => {
  const view = viewOf(started, ...Array.from({ length: 181 }, (_, step) => stepAt((step + 1) * 40, step)));
  expect(renderBlock(view, 100, plain)[0]).toContain('━━━━━━━━━━━━━━━━━━━━━━  100 %');
});

test('a log line carries the same facts without drawing', () => {
  expect(renderLine(advanceView(midway, lost))).toBe(
    'epoch 15/30  50 %  step 90/180  loss 0.2134  val accuracy 93.12 %  loss 0.2410  lr 8.0e-4  5,988 samples/s  0:04 left',
  );
});
