import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { RunEvent } from '#training';
import type { Paint } from '../terminal.js';
import { NARROW, renderBlock, renderLine } from './progress-block.js';
import { widthOf } from './redraw.js';
import { epochAt, eventAt, joined, lost, measuredAt, started, stepAt } from './run-events.fixture.js';
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
  const [head, rates, workers, page, ...notices] = renderBlock(midway, 140, plain);
  expect(head).toBe(
    'epoch 15/30  ━━━━━━━━━━━───────────  50 %  step 90/180  loss 0.2134  val accuracy 93.12 %  loss 0.2410  lr 8.0e-4',
  );
  expect(rates).toBe(' 5,988 samples/s  0:04 left  40 ms/step (compute 29 · wire 7.0 · average 3.0 · other 1.0)');
  expect(workers).toBe(' workers 2/2  w0  w1');
  expect(page).toBe(' live page http://127.0.0.1:9464/');
  expect(notices).toHaveLength(3);
});

test('a narrow terminal gets one line', () => {
  expect(renderBlock(midway, NARROW - 1, plain)).toEqual(['epoch 15/30  50 %  loss 0.2134  0:04 left']);
  expect(renderBlock(midway, 40, plain)).toEqual(['epoch 15/30  50 %  loss 0.2134']);
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
  expect(renderBlock(viewOf(started), 60, plain)[0]).toBe('epoch 1/30  ────────  0 %  step 0/180');
  const stopping = advanceView(midway, eventAt(3700, 'run_stopping', { reason: 'asked to' }));
  expect(renderBlock(stopping, 100, plain)[1]).toContain('  stopping  40 ms/step');
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

test('workers are shown with what they do: a small bar, and a word for those that are slow or lost', () => {
  const view = viewOf(
    started,
    ...['w0', 'w1', 'w2', 'w3'].map(joined),
    ...[1000, 2000, 3000, 4000].map((at) =>
      measuredAt(at, {
        w0: { samples: 800, msPerSample: 1 },
        w1: { samples: 800, msPerSample: 1.1 },
        w2: { samples: 100, msPerSample: 8 },
        w3: { samples: 700, msPerSample: 1 },
      }),
    ),
    eventAt(4100, 'worker_lost', { worker: 'w3', pid: 1, reason: 'closed', blocksReissued: 1, detectedInMs: 0 }),
  );
  expect(renderBlock(view, 100, plain)).toContain(' workers 3/4  w0 ████  w1 ████  w2 ▂▂▂▂ slow  w3 lost');
  // Where there is no room for all of them, those with a word come first.
  expect(renderBlock(view, 60, plain)[1]).toBe(' workers 3/4  w0 ████  w1 ████  w2 ▂▂▂▂ slow  w3 lost');
  const many = [...'abcdefghijkl'].map(joined).reduce(advanceView, view);
  expect(renderBlock(many, 60, plain)[1]).toBe(' workers 15/16  w2 ▂▂▂▂ slow  w3 lost  w0 ████  + 13 more');
  const later = advanceView(view, measuredAt(40_000, { w0: { samples: 1, msPerSample: 1 } }));
  expect(renderBlock(later, 100, plain)[1]).toBe(' workers 3/3  w0 ████  w1 ███▁  w2 ▂▂▂▁ slow');
});

test('a kernel that is seldom busy is not called slow', () => {
  const events = [1000, 2000, 3000, 4000].map((at) =>
    measuredAt(at, { w0: { samples: 100, msPerSample: 0.1 }, w1: { samples: 100, msPerSample: 0.9 } }),
  );
  expect(renderBlock(viewOf(started, ...events), 100, plain).join('\n')).not.toContain('slow');
});

test('when no step comes the time left is not made up', () => {
  const [, rates] = renderBlock(midway, 100, plain, { quietMs: 12_400 });
  expect(rates).toContain('  no step for 12 s  ');
  const alone = viewOf(started, joined('w1'), stepAt(40, 0), stepAt(80, 1), lost);
  expect(renderBlock(alone, 100, plain, { quietMs: 5_000 })[1]).toContain('no step for 5 s: no worker is connected');
  expect(renderBlock(midway, 100, plain, { quietMs: 2_000 })[1]).toContain('0:04 left');
});

test('wide letters and commands to the terminal in a message break no line', () => {
  const view = advanceView(midway, eventAt(3700, 'run_stopping', { reason: `\u001b[2J${'漢字'.repeat(40)}\n` }));
  for (const line of renderBlock(view, 80, plain)) {
    expect(widthOf(line)).toBeLessThanOrEqual(80);
    expect(line).not.toMatch(/\p{Cc}/u);
  }
});
