/** The figures of a backtest: what each is called, how it is written, which way is better. */
import type { MetricKey, Metrics } from '@/api/backtests'
import { formatMoney, formatNumber, formatRatio, toneOf, type Numeric } from './format'
import { formatDuration } from './time'

/** Not defined for this run: never 0, which would be a claim. */
export const UNDEFINED = 'n/a'

type Kind = 'money' | 'ratio' | 'share' | 'factor' | 'count' | 'duration' | 'loss'

export interface MetricSpec {
  key: MetricKey
  label: string
  kind: Kind
  /** What it means, and when it is not defined. */
  help: string
  /** Whether more is better (1), worse (-1) or neither (0). */
  better: 1 | 0 | -1
  /** Coloured by its sign. */
  signed?: boolean
}

const spec = (key: MetricKey, label: string, kind: Kind, better: 1 | 0 | -1, help: string, signed = false): MetricSpec => ({ key, label, kind, better, help, signed })

export const METRICS: readonly MetricSpec[] = [
  spec('net_profit', 'Gain net', 'money', 1, 'Capital final moins capital de départ, frais et glissement déduits, position finale valorisée', true),
  spec('net_return', 'Gain net en %', 'ratio', 1, 'Gain net rapporté au capital de départ', true),
  spec('buy_and_hold', 'Achat-conservation', 'ratio', 0, 'Ce qu’aurait donné un achat à la première ouverture, gardé jusqu’à la fin'),
  spec('max_drawdown', 'Drawdown maximal', 'loss', -1, 'Plus forte baisse du capital depuis son plus haut'),
  spec('max_drawdown_duration_ms', 'Durée du drawdown', 'duration', -1, 'Plus longue attente avant un nouveau plus haut'),
  spec('profit_factor', 'Facteur de profit', 'factor', 1, 'Gains divisés par pertes, nets de frais ; non défini sans perte'),
  spec('sharpe', 'Sharpe', 'factor', 1, 'Rendements quotidiens UTC, jours plats compris, annualisé par √365 ; non défini sous deux jours'),
  spec('sortino', 'Sortino', 'factor', 1, 'Comme Sharpe, seules les baisses comptant comme risque'),
  spec('win_rate', 'Taux de réussite', 'share', 1, 'Part des trades gagnants, frais déduits'),
  spec('average_win', 'Gain moyen', 'money', 1, 'Moyenne des trades gagnants', true),
  spec('average_loss', 'Perte moyenne', 'money', 1, 'Moyenne des trades perdants', true),
  spec('largest_win', 'Plus grand gain', 'money', 0, 'Le meilleur trade', true),
  spec('largest_loss', 'Plus grande perte', 'money', 1, 'Le pire trade', true),
  spec('expectancy', 'Espérance par trade', 'money', 1, 'Gain net moyen d’un trade', true),
  spec('cagr', 'Rendement annuel', 'ratio', 1, 'Croissance annuelle composée ; non définie sous 30 jours', true),
  spec('calmar', 'Calmar', 'factor', 1, 'Rendement annuel divisé par le drawdown maximal ; non défini sous 30 jours'),
  spec('sqn', 'SQN', 'factor', 1, 'Régularité du système (Van Tharp) ; non défini sous 30 trades'),
  spec('recovery_factor', 'Facteur de récupération', 'factor', 1, 'Gain net divisé par la plus forte baisse en monnaie'),
  spec('exposure', 'Exposition', 'share', 0, 'Part des bougies passées en position'),
  spec('fees', 'Frais payés', 'money', -1, 'Somme des frais, à l’achat et à la vente'),
  spec('trade_count', 'Trades', 'count', 0, 'Allers-retours terminés'),
]

const byKey = new Map(METRICS.map((one) => [one.key, one]))
export const metricSpec = (key: MetricKey): MetricSpec | undefined => byKey.get(key)

type Value = Numeric

function body(kind: Kind, value: string, quote: string, signed: boolean): string {
  switch (kind) {
    case 'money':
      return formatMoney(value, quote, { sign: signed })
    case 'ratio':
      return formatRatio(value)
    case 'loss':
      return formatRatio(/[1-9]/.test(value) ? `-${value}` : value)
    case 'share':
      return signed ? formatRatio(value, 1) : formatRatio(value, 1).replace('+', '')
    case 'duration':
      return formatDuration(Number(value))
    case 'count':
      return formatNumber(value)
    case 'factor':
      return formatNumber(value, { digits: 2, sign: signed })
  }
}

/** A figure as it is shown; `n/a` when it is not defined. */
export function metricText({ kind, signed }: MetricSpec, value: Value, quote: string): string {
  if (value === null || value === undefined || value === '' || (typeof value === 'number' && !Number.isFinite(value))) return UNDEFINED
  return body(kind, String(value), quote, Boolean(signed))
}

export function metricTone({ kind, signed }: MetricSpec, value: Value): '' | 'up' | 'down' {
  if (kind === 'loss') return toneOf(value) === 'up' ? 'down' : ''
  return signed ? toneOf(value) : ''
}

export const metricOf = (of: { metrics: Partial<Metrics> | null }, key: MetricKey): Value => of.metrics?.[key]
