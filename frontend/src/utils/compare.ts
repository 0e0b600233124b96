/** Two or more backtests side by side: how far their figures and their assumptions are apart. */
import type { Run } from '@/api/backtests'
import { sumDecimals } from './format'
import { metricOf, type MetricSpec } from './metrics'
import { paramsText } from './runs'

/** `b - a`, digit by digit. */
export function difference(a: string | number, b: string | number): string {
  const text = String(a)
  return sumDecimals([b, text.startsWith('-') ? text.slice(1) : `-${text}`])
}

/** The index of the run that does best in one figure; null without a winner. */
export function bestOf({ key, better }: MetricSpec, runs: readonly Run[]): number | null {
  if (better === 0) return null
  const values = runs.map((run) => metricOf(run, key)).map((value) => (value == null || value === '' ? null : Number(value) * better))
  const known = values.filter((value) => value !== null)
  if (known.length < 2) return null
  const best = Math.max(...known)
  return known.filter((value) => value === best).length === 1 ? values.indexOf(best) : null
}

export interface Divergence {
  label: string
  values: string[]
}

/** Stated by each run, but said already by what it was asked with. */
const SAID = ['Première bougie jouée', 'Fin de la dernière bougie']

/**
 * What the runs do not share, apart from their strategy: comparing them compares that too.
 * `moment` writes a date as the page does.
 */
export function divergences(runs: readonly Run[], moment: (iso: string) => string): Divergence[] {
  const asked: [string, (run: Run) => string][] = [
    ['Broker', (run) => run.broker_name],
    ['Symbole', (run) => run.symbol],
    ['Unité de temps', (run) => run.timeframe],
    ['Début', (run) => moment(run.start_date)],
    ['Fin', (run) => moment(run.end_date)],
    ['Montant', (run) => `${run.initial_amount} ${run.quote_currency}`],
  ]
  const rules = [...new Set(runs.flatMap((run) => run.assumptions.map(({ name }) => name)))]
  const ruleOf = (run: Run, name: string): string => run.assumptions.find((rule) => rule.name === name)?.value ?? '—'
  const stated = asked.map(([label, of]) => ({ label, values: runs.map(of) }))
  // The same market and dates over other candles: a simulated market that began anew, or candles that were mended.
  const lots = runs.map((run) => (run.hashes ? `lot ${run.hashes.candles.slice(0, 6)}` : '—'))
  if (stated.slice(0, 5).every(({ values }) => new Set(values).size === 1)) stated.push({ label: 'Bougies lues', values: lots })
  const all = [...stated, ... rules.filter((name) => !SAID.includes(name)).map((name) => ({ label: name, values: runs.map((run) => ruleOf(run, name)) }))]
  return all.filter(({ values }) => new Set(values).size > 1)
}

/** What tells one of the runs from the others in a legend; `labels` names its settings. */
export function legend(run: Run, labels: Record<string, string> = {}): string {
  const version = run.strategy_version === null ? '' : ` v${run.strategy_version}`
  const params = paramsText(run.params, labels)
  return `#${run.id} ${run.strategy_name}${version}${params ? ` · ${params}` : ''}`
}
