/** What all dashboards have in common: a panel of lines, where panels lie, and the frame around them. */
import {
  type Dashboard,
  DashboardBuilder,
  DashboardLinkBuilder,
  DashboardLinkType,
  DatasourceVariableBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

/** One curve, or one for each series of its query. */
export interface Curve {
  /** PromQL; `$__rate_interval` and `$job` are Grafana's to fill in. */
  readonly query: string;
  readonly legend: string;
}

export interface Lines {
  readonly title: string;
  /** What a reader should look for. */
  readonly description: string;
  /** A unit of Grafana: `s`, `bytes`, `Bps`, `percentunit`, `short`. */
  readonly unit: string;
  readonly curves: readonly Curve[];
}

export interface Board {
  /** Never changes: links and bookmarks name it. */
  readonly uid: string;
  readonly title: string;
  readonly description: string;
  readonly panels: readonly Lines[];
}

/** Grafana's grid has 24 columns: two panels a row. */
const WIDTH = 12;
const HEIGHT = 8;
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana fills its variable in
const SOURCE = { type: 'prometheus', uid: '${datasource}' } as const;

/** The dashboard's JSON model. */
export function buildDashboard({ uid, title, description, panels }: Board): Dashboard {
  const builder = new DashboardBuilder(`Ropeteam: ${title}`)
    .uid(uid)
    .description(description)
    .tags(['ropeteam'])
    .refresh('5s')
    .time({ from: 'now-15m', to: 'now' })
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .link(
      new DashboardLinkBuilder('Ropeteam')
        .type(DashboardLinkType.Dashboards)
        .tags(['ropeteam'])
        .keepTime(true)
        .includeVars(true)
        .asDropdown(false),
    );
  for (const [index, panel] of panels.entries()) builder.withPanel(linesPanel(panel, index));
  return builder.build();
}

function linesPanel({ title, description, unit, curves }: Lines, index: number): PanelBuilder {
  const panel = new PanelBuilder()
    .id(index + 1)
    .title(title)
    .description(description)
    .unit(unit)
    .datasource(SOURCE)
    .gridPos({ x: (index % 2) * WIDTH, y: Math.floor(index / 2) * HEIGHT, w: WIDTH, h: HEIGHT });
  for (const [at, { query, legend }] of curves.entries()) {
    panel.withTarget(
      new DataqueryBuilder()
        .refId(String.fromCharCode(65 + at))
        .expr(query)
        .legendFormat(legend)
        .datasource(SOURCE),
    );
  }
  return panel;
}
