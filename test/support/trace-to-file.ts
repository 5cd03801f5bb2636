/** What a user who wants traces gives to `node --import`: an SDK, here with a file per process instead of a collector. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { propagation, trace } from '@opentelemetry/api';
import { ExportResultCode, W3CTraceContextPropagator } from '@opentelemetry/core';
import { BasicTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';

/** One line of such a file. */
export interface TracedSpan {
  readonly name: string;
  readonly trace: string;
  readonly id: string;
  readonly parent?: string;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly failed: boolean;
  readonly pid: number;
}

const { TEST_TRACE_FOLDER: folder } = process.env;
if (folder === undefined) throw new Error('TEST_TRACE_FOLDER names no folder');

function lineOf(span: ReadableSpan): string {
  const { traceId, spanId } = span.spanContext();
  const parent = span.parentSpanContext?.spanId;
  const line: TracedSpan = {
    name: span.name,
    trace: traceId,
    id: spanId,
    ...(parent === undefined ? {} : { parent }),
    facts: span.attributes,
    failed: span.status.code === 2,
    pid: process.pid,
  };
  return `${JSON.stringify(line)}\n`;
}

const exporter = {
  export: (spans: readonly ReadableSpan[], done: (result: { code: ExportResultCode }) => void) => {
    appendFileSync(join(folder, `${process.pid}.ndjson`), spans.map(lineOf).join(''));
    done({ code: ExportResultCode.SUCCESS });
  },
  shutdown: async () => undefined,
};
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
