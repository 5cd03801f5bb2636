import { propagation, trace } from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { inSpan, startSpan } from './tracing.js';

const exporter = new InMemorySpanExporter();
afterEach(() => exporter.reset());

/** What a user's own file does, given to `node --import`. */
function loadSdk(): void {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
}

test('without an SDK there is no context to hand on, whatever came from elsewhere', async () => {
  const foreign = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` };
  expect(startSpan('step', { step: 3 }).context).toBeUndefined();
  expect(startSpan('step', { step: 3 }, foreign).context).toBeUndefined();
  expect(await inSpan('compute', {}, undefined, async () => 7)).toBe(7);
});

describe('with an SDK', () => {
  beforeAll(loadSdk);

  test('a span below another, by way of what was handed on, is in its trace', () => {
    const step = startSpan('step', { run: 'digits', step: 3 });
    const compute = startSpan('compute', { worker: 'w1' }, step.context);
    compute.end();
    step.end();
    const [below, above] = exporter.getFinishedSpans();
    expect(below).toMatchObject({ name: 'compute', attributes: { worker: 'w1' } });
    expect(above).toMatchObject({ name: 'step', attributes: { run: 'digits', step: 3 } });
    expect(below?.spanContext().traceId).toBe(above?.spanContext().traceId);
    expect(below?.parentSpanContext?.spanId).toBe(above?.spanContext().spanId);
  });

  test('what failed says so in its span, and still fails', async () => {
    const failing = inSpan('checkpoint', {}, undefined, () => Promise.reject(new Error('disk full')));
    await expect(failing).rejects.toThrow('disk full');
    expect(exporter.getFinishedSpans()[0]?.status).toEqual({ code: 2, message: 'disk full' });
  });
});
