/** `predict`, `evaluate`, `export` and `fetch`: their options and help. */
import { type Command, Option } from 'commander';
import type { ExportFormat } from '#model';
import type { DataFormat, RunId } from '#training';
import type { EvaluateOptions } from '../commands/evaluate.js';
import type { ExportOptions } from '../commands/export.js';
import type { FetchRunOptions } from '../commands/fetch.js';
import type { PredictOptions } from '../commands/predict.js';
import type { Context } from '../context.js';
import { addCommand, flag, jsonFlag, MODEL, type OnExit, outOption, parseRunId } from './options.js';

/** Written out, so that `--help` need not load the engine; the type keeps it complete. */
const exportFormats = Object.keys({
  onnx: true,
  safetensors: true,
  json: true,
  js: true,
} satisfies Record<ExportFormat, true>);

const dataFormats = Object.keys({
  csv: true,
  tsv: true,
  jsonl: true,
  parquet: true,
  npy: true,
  npz: true,
  idx: true,
} satisfies Record<DataFormat, true>);

const formatOption = (): Option =>
  new Option('--format <name>', 'of the file (default: told from its name)').choices(dataFormats);

const MODEL_ARGUMENT = ['<model>', 'folder of a run, or of its model'] as const;

export function addModelCommands(program: Command, context: Context, onExit: OnExit): void {
  addCommand(program, 'predict', {
    group: MODEL,
    description: 'the rows of a file, with predictions behind them',
    example: 'predict runs/digits-7422 --input new.csv --output predicted.csv',
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--input <file>', 'file with the input columns, of any format that train reads')
    .option('--output <file>', 'where to write (default: stdout)')
    .addOption(formatOption())
    .action(async (model: string, options: PredictOptions) => {
      const { predict } = await import('../commands/predict.js');
      onExit(await predict(model, options, context));
    });
  addCommand(program, 'evaluate', {
    group: MODEL,
    description: 'how good is it on a file with the answers?',
    example: 'evaluate runs/digits-7422 --data labelled.csv',
  })
    .argument(...MODEL_ARGUMENT)
    .requiredOption('--data <file>', 'file with input and target columns, of any format that train reads')
    .option('--labels <file>', 'file of the answers, where --data is one array (npy, idx)')
    .addOption(formatOption())
    .addOption(jsonFlag('the figures as one JSON object'))
    .action(async (model: string, options: EvaluateOptions) => {
      const { evaluate } = await import('../commands/evaluate.js');
      onExit(await evaluate(model, options, context));
    });
  addCommand(program, 'export', {
    group: MODEL,
    description: 'the model as ONNX, JavaScript, JSON or safetensors',
    example: 'export runs/digits-7422 --format onnx --out digits.onnx',
  })
    .argument(...MODEL_ARGUMENT)
    .addOption(new Option('--format <name>', 'of the file').choices(exportFormats).makeOptionMandatory())
    .requiredOption('--out <file>', 'where to write; js writes its types beside it')
    .action(async (model: string, options: ExportOptions) => {
      const { exportFile } = await import('../commands/export.js');
      onExit(await exportFile(model, options, context));
    });
  addCommand(program, 'fetch', {
    group: MODEL,
    description: 'bring a run from object storage; without one, list them',
    example: 'fetch digits-7422 --from s3://bucket/runs',
  })
    .argument('[run]', 'id of the run', parseRunId)
    .option('--from <url>', 'what the coordinator has as --copy-runs-to (default: ROPETEAM_COPY_RUNS_TO)')
    .addOption(outOption())
    .addOption(flag('--model', 'its model alone'))
    .addOption(jsonFlag('what was fetched as one JSON object'))
    .action(async (run: RunId | undefined, options: FetchRunOptions) => {
      const { fetchCommand } = await import('../commands/fetch.js');
      onExit(await fetchCommand(run, options, context));
    });
}
