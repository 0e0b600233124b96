/** What the checks of a backtest mean, in plain French, and what to do about it. */
import type { Checks, ColumnDifference, Run } from '@/api/backtests'
import { formatMoney, formatNumber, formatRatio, plural } from './format'

export interface Finding {
  tone: 'ok' | 'warn' | 'bad'
  title: string
  text: string
  /** What to do; empty when nothing needs doing. */
  todo: string
}

const MAX_NAMED = 4

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
  return [{
    tone: 'warn', title: 'Fenêtre trop courte',
    text: `« ${columnNames(check.columns)} » a besoin de plus de ${formatNumber(check.size)} bougies pour se stabiliser : un bot verrait d’autres valeurs qu’un graphique.`,
    todo: 'Raccourcissez l’indicateur ; le résultat montre bien ce qu’un bot aurait fait.',
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

/** What is to be known before the gain is looked at; the first one is always about the future. */
export function findings(run: Pick<Run, 'checks' | 'quote_currency'>): Finding[] {
  const checks: Partial<Checks> = run.checks ?? {}
  return [lookAhead(checks), ...window(checks), ...coverage(checks), ...ambiguity(checks, run.quote_currency)]
}

/** The worst tone of a run's findings: what its line in the history says. */
export function trust(run: Pick<Run, 'checks' | 'quote_currency'>): Finding['tone'] {
  const tones = findings(run).map((finding) => finding.tone)
  return tones.includes('bad') ? 'bad' : run.checks?.look_ahead?.verdict === 'ok' ? 'ok' : 'warn'
}
