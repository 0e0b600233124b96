/** A sweep's combinations as a map and as a ranking. */
import type { Objective, Sweep, SweepRun } from '@/api/backtests'
import { formatNumber, plural } from './format'
import { MIN_TRADES } from './verdicts'

export const OBJECTIVES: Record<Objective, string> = {
  sharpe: 'Sharpe',
  sortino: 'Sortino',
  calmar: 'Calmar',
  net_return: 'Gain net',
  profit_factor: 'Facteur de profit',
}

export type Part = 'in_sample' | 'out_of_sample'
export type Value = string | number | boolean

export interface HeatCell {
  x: number
  y: number
  value: number
  run: SweepRun
}

export interface HeatGrid {
  xs: Value[]
  ys: Value[]
  cells: HeatCell[]
  /** Single trials rather than a grid that is played whole: drawn as points where they lie. */
  points: boolean
}

const order = (a: Value, b: Value): number => (typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'fr'))
const axis = (runs: readonly SweepRun[], name: string): Value[] => [...new Set(runs.map((run) => run.params[name] as Value))].sort(order)

export function valueOf(run: SweepRun, part: Part, objective: Objective): number | null {
  const value = run[part][objective]
  return value === null || value === undefined || !Number.isFinite(Number(value)) ? null : Number(value)
}

/**
 * One objective over two parameters. Where other parameters vary too, a cell shows the combination that ranks
 * best in the part that chooses, in both maps the same: the control must not choose again.
 */
export function heatGrid(runs: readonly SweepRun[], [xName, yName]: [string, string | null], part: Part, objective: Objective, points = false): HeatGrid {
  const [xs, ys] = [axis(runs, xName), yName === null ? [''] : axis(runs, yName)]
  const best = new Map<string, SweepRun>()
  for (const run of runs) {
    const key = `${xs.indexOf(run.params[xName] as Value)}:${yName === null ? 0 : ys.indexOf(run.params[yName] as Value)}`
    const known = best.get(key)
    if (!known || (run.score ?? -Infinity) > (known.score ?? -Infinity)) best.set(key, run)
  }
  const cells = [...best].flatMap(([key, run]): HeatCell[] => {
    const value = valueOf(run, part, objective)
    const [x, y] = key.split(':').map(Number)
    return value === null ? [] : [{ x, y, value, run }]
  })
  return { xs, ys, cells, points }
}

/** Best first by the part that chooses; those without a score last. */
export function ranked(runs: readonly SweepRun[], window: number): SweepRun[] {
  return runs.filter((run) => run.window === window).toSorted((a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity) || a.number - b.number)
}

export interface Overfit {
  tone: 'ok' | 'neutral' | 'warn' | 'bad'
  text: string
}

/** Whether a part of a combination's run has too few trades for its figures to mean something. */
export const isSmall = (run: SweepRun, part: Part): boolean => (run[part].trade_count ?? 0) < MIN_TRADES

/** Why a combination is no advice yet, in a few words; '' when both parts have trades enough. */
export function doubtOf(run: SweepRun): string {
  if (run.error) return 'essai échoué'
  if (!isSmall(run, 'in_sample') && !isSmall(run, 'out_of_sample')) return ''
  return `trop peu de trades pour juger : ${formatNumber(run.in_sample.trade_count ?? 0)} + ${formatNumber(run.out_of_sample.trade_count ?? 0)}`
}

/** What the control says of the chosen combination, in plain French. */
export function overfit(best: SweepRun | undefined, objective: Objective): Overfit | null {
  if (!best) return null
  const [seen, unseen] = [valueOf(best, 'in_sample', objective), valueOf(best, 'out_of_sample', objective)]
  if (seen === null || unseen === null) return { tone: 'warn', text: 'Le meilleur réglage n’a pas assez de trades dans la partie de contrôle pour être jugé.' }
  if (isSmall(best, 'in_sample') || isSmall(best, 'out_of_sample')) return { tone: 'neutral', text: tooFew(best) }
  const neutral = objective === 'profit_factor' ? 1 : 0
  if (seen <= neutral) return { tone: 'bad', text: 'Même le meilleur réglage perd dans la partie qui choisit : cette stratégie ne convient pas à ce marché sur cette période.' }
  if (unseen <= neutral) return { tone: 'bad', text: 'Le meilleur réglage perd sur la partie qu’il n’a jamais vue : c’est du surajustement, ne le suivez pas.' }
  if (unseen - neutral < (seen - neutral) / 2) return { tone: 'warn', text: 'Le meilleur réglage garde moins de la moitié de sa qualité hors échantillon : prudence.' }
  return { tone: 'ok', text: 'Le meilleur réglage tient sur la partie qu’il n’a jamais vue.' }
}

function tooFew({ in_sample: seen, out_of_sample: unseen }: SweepRun): string {
  const [chosen, checked] = [formatNumber(seen.trade_count ?? 0), plural(unseen.trade_count ?? 0, 'trade')]
  return (
    `Échantillon trop petit pour juger : le meilleur réglage a ${chosen} + ${checked} (choix + contrôle), il en faut ${MIN_TRADES} de chaque côté. ` +
    'En dessous, quelques trades heureux suffisent à faire un bon chiffre. Allongez la période, ou prenez une unité de temps plus courte.'
  )
}

/** What is proved of a sweep's best setting, beside what the control says; null while it is not done. */
export function proofOf(sweep: Pick<Sweep, 'results' | 'windows'>, window: number): Overfit | null {
  const verdict = sweep.results?.windows.find((one) => one.window === window)?.verdict
  if (!verdict) return null
  if (verdict === 'ok') return { tone: 'ok', text: 'Causalité prouvée en entier pour le meilleur réglage ; chaque autre essai est revérifié sur un échantillon de bougies.' }
  if (verdict === 'biased') return { tone: 'bad', text: 'Causalité : le meilleur réglage lit le futur. Ses chiffres sont ceux du calcul honnête, mais corrigez la stratégie avant de le suivre.' }
  return { tone: 'warn', text: 'Causalité non prouvée pour le meilleur réglage : lancez-en un backtest avant de le suivre.' }
}

/** The numbers of the walk-forward windows that have been played, in order. */
export function windowsOf(runs: readonly SweepRun[]): number[] {
  return [...new Set(runs.map((run) => run.window))].sort((a, b) => a - b)
}
