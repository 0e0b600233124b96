/** What the checks of a backtest mean, in plain French, and what to do about it. */
import type { Checks, ColumnDifference, Run } from '@/api/backtests'
import { formatMoney, formatNumber, formatRatio, plural } from './format'

export interface Finding {
  tone: 'ok' | 'neutral' | 'warn' | 'bad'
  title: string
  text: string
  /** What to do; empty when nothing needs doing. */
  todo: string
}

const MAX_NAMED = 4
/** Under that many trades a good figure may be luck: the mean of a small sample says little (the SQN asks for 30 too). */
export const MIN_TRADES = 30

/** The columns by name, each once. */
export function columnNames(columns: readonly ColumnDifference[]): string {
  const names = [...new Set(columns.map((one) => one.column))]
  const rest = names.length - MAX_NAMED
  return names.slice(0, MAX_NAMED).join(', ') + (rest > 0 ? ` et ${plural(rest, 'autre')}` : '')
}

function lookAhead({ look_ahead: check }: Partial<Checks>): Finding {
  if (check?.verdict === 'ok') {
    return { tone: 'ok', title: 'Aucun biais d’anticipation', text: `Relue sur ${plural(check.bars_checked, 'vraie fenêtre', 'vraies fenêtres')}, chaque décision est la même.`, todo: '' }
  }
  if (check?.verdict === 'biased') {
    const names = columnNames(check.columns)
    return {
      tone: 'bad', title: 'Biais d’anticipation',
      text: `${names ? `« ${names} » change` : 'Une valeur change'} quand les bougies suivantes sont connues : la stratégie lit le futur. Le résultat est celui du calcul honnête, bougie par bougie.`,
      todo: 'Cherchez un shift négatif, une fenêtre centrée ou une moyenne de toute la série, puis relancez.',
    }
  }
  return {
    tone: 'warn', title: 'Causalité non prouvée', text: check?.reason || 'Rien ne prouve que les indicateurs ignorent la suite.',
    todo: 'Ne vous fiez pas à ce résultat avant d’en avoir lu la cause.',
  }
}

function window({ window: check }: Partial<Checks>): Finding[] {
  if (!check || check.verdict === 'ok') return []
  if (check.verdict === 'unproven') {
    return [{ tone: 'warn', title: 'Fenêtre non vérifiée', text: `Rien ne prouve que ${formatNumber(check.size)} bougies suffisent aux indicateurs.`, todo: '' }]
  }
  const gap = Math.max(0, ...check.columns.map((one) => one.relative_gap ?? 0))
  const apart = gap > 0 ? `, ici de ${formatRatio(gap.toFixed(6)).replace('+', '')} au plus` : ''
  return [{
    tone: 'neutral', title: 'Indicateur plus long que la fenêtre',
    text: `À chaque clôture, un bot relit ${formatNumber(check.size)} bougies. « ${columnNames(check.columns)} » s’en rappelle davantage : sa valeur s’écarte de celle d’un graphique${apart}. Ce backtest calcule comme le bot : son résultat est celui qu’il aurait eu.`,
    todo: 'Rien n’est interdit. Pour les valeurs d’un graphique, prenez l’équivalent sur une unité plus longue : une EMA 200 en 5m est à peu près une EMA 67 en 15m.',
  }]
}

function coverage({ coverage: check }: Partial<Checks>): Finding[] {
  if (!check) return []
  if (!check.verified) {
    return [{ tone: 'warn', title: 'Bougies non vérifiées', text: 'L’exchange n’a pas confirmé toute la période : des bougies peuvent manquer sans qu’on le sache.', todo: 'Relancez : ce qui manque sera redemandé.' }]
  }
  if (check.hole_count === 0) return []
  return [{
    tone: check.ratio < 0.99 ? 'bad' : 'warn', title: `Couverture ${formatRatio(String(check.ratio)).replace('+', '')}`,
    text: `${plural(check.expected - check.present, 'bougie manque', 'bougies manquent')} en ${plural(check.hole_count, 'trou')} : rien n’est tenu ni ouvert à travers.`,
    todo: check.ratio < 0.99 ? 'Choisissez une période que l’exchange couvre mieux.' : '',
  }]
}

function ambiguity({ ambiguous_candles: check }: Partial<Checks>, quote: string): Finding[] {
  if (!check || check.count === 0) return []
  const band = `entre ${formatMoney(check.worst, quote)} et ${formatMoney(check.best, quote, { unit: quote })}`
  return [{
    tone: 'warn', title: plural(check.count, 'bougie ambiguë', 'bougies ambiguës'),
    text: `Stop et objectif touchés dans la même bougie, stop compté d’abord. Capital final ${band} selon l’ordre réel.`,
    todo: 'Une unité de temps plus courte tranche.',
  }]
}

function sample(count: number | null): Finding[] {
  if (!count || count >= MIN_TRADES) return []
  return [{
    tone: 'neutral', title: `Échantillon trop petit : ${plural(count, 'trade')}`,
    text: `Sous ${MIN_TRADES} trades, quelques hasards heureux suffisent à faire un bon chiffre, et quelques autres un mauvais : ceux-ci ne jugent pas encore la stratégie.`,
    todo: 'Allongez la période, ou prenez une unité de temps plus courte.',
  }]
}

type Judged = Pick<Run, 'checks' | 'quote_currency' | 'total_trades'>

/** What is to be known before the gain is looked at; the first one is always about the future. */
export function findings(run: Judged): Finding[] {
  const checks: Partial<Checks> = run.checks ?? {}
  return [lookAhead(checks), ...sample(run.total_trades), ...window(checks), ...coverage(checks), ...ambiguity(checks, run.quote_currency)]
}

/** The worst tone of a run's findings: what its line in the history says. */
export function trust(run: Judged): Finding['tone'] {
  const tones = findings(run).map((finding) => finding.tone)
  return tones.includes('bad') ? 'bad' : run.checks?.look_ahead?.verdict === 'ok' ? 'ok' : 'warn'
}
