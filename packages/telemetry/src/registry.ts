/** What the metrics of both services are made of. */
import {
  Counter,
  type CounterConfiguration,
  collectDefaultMetrics,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  Registry,
} from 'prom-client';

/** What a metrics server needs to know. */
export interface MetricsRegistry {
  readonly contentType: string;
  /** The exposition text, for Prometheus. */
  text(): Promise<string>;
}

/** What a process is, for `ropeteam_build_info`. */
export interface Build {
  readonly version: string;
  /** Id of the engine, for example `wasm-simd128/1`. */
  readonly kernel: string;
  /** Something is open to others because the user insists. */
  readonly insecure?: boolean;
}

/** Seconds: half a millisecond, the shortest a step's phase is seen to take, up to a minute. */
export const STEP_BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** A registry of its own for each process part: two of them fit in one process. */
export function newRegistry({ insecure = false, ...build }: Build) {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const gauge = (
    name: string,
    help: string,
    labelNames: string[] = [],
    collect?: GaugeConfiguration<string>['collect'],
  ) => new Gauge({ name, help, labelNames, registers, ...(collect === undefined ? {} : { collect }) });
  const counter = (
    name: string,
    help: string,
    labelNames: string[] = [],
    collect?: CounterConfiguration<string>['collect'],
  ) => new Counter({ name, help, labelNames, registers, ...(collect === undefined ? {} : { collect }) });
  const histogram = (name: string, help: string, labelNames: string[], buckets: number[]) =>
    new Histogram({ name, help, labelNames, buckets, registers });
  gauge('ropeteam_build_info', 'Always 1; the labels name what is running', ['version', 'kernel']).set({ ...build }, 1);
  gauge('ropeteam_insecure', '1 if a port or a connection is open to others because --insecure says so').set(
    insecure ? 1 : 0,
  );
  return { registry, gauge, counter, histogram };
}

/** Prometheus would show 0, a number like any other, where nothing was measured yet. */
export function unknownYet(...gauges: readonly Gauge[]): void {
  for (const gauge of gauges) gauge.set(Number.NaN);
}

/** A gauge that is 1 for one of its label's values and 0 for the others. */
export function oneHot<Value extends string>(
  gauge: Gauge,
  label: string,
  values: readonly Value[],
): (current: Value | undefined) => void {
  const show = (current: Value | undefined): void => {
    for (const value of values) gauge.set({ [label]: value }, value === current ? 1 : 0);
  };
  show(undefined);
  return show;
}

/**
 * The text of a registry.
 * @param more text of somebody else's metrics that is served along
 */
export function exposition(registry: Registry, more: () => string = () => ''): MetricsRegistry {
  let scrape: Promise<string> | undefined;
  return {
    contentType: registry.contentType,
    // Scrapes that come together share one collection.
    text: () => {
      scrape ??= registry
        .metrics()
        .then((text) => text + more())
        .finally(() => {
          scrape = undefined;
        });
      return scrape;
    },
  };
}
