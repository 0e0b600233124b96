/** What a backtest's state is called, and which runs still move. */
import type { Run, RunStatus } from '@/api/backtests'
import { formatNumber } from './format'
import type { Tone } from './words'

export const RUN_STATES: Record<RunStatus, { label: string; tone: Tone }> = {
  queued: { label: 'En file', tone: 'info' },
  loading: { label: 'Bougies…', tone: 'info' },
  running: { label: 'Simulation…', tone: 'info' },
  done: { label: 'Terminé', tone: 'ok' },
  cancelled: { label: 'Interrompu', tone: 'warn' },
  failed: { label: 'Échoué', tone: 'bad' },
}

/** How far along: an answer that was overtaken by an event must not take a run back. */
const PROGRESS: Record<RunStatus, number> = { queued: 0, loading: 1, running: 2, done: 3, cancelled: 3, failed: 3 }

interface Stage {
  status: RunStatus
  phase_progress: number
}

export const isLive = ({ status }: Pick<Stage, 'status'>): boolean => PROGRESS[status] < 3

/** Whether `next` may replace what is known of the same run. */
export function isAsFar(next: Stage, known: Stage): boolean {
  if (PROGRESS[next.status] !== PROGRESS[known.status]) return PROGRESS[next.status] > PROGRESS[known.status]
  return !isLive(next) || next.phase_progress >= known.phase_progress
}

/** What the button that ends it does, in the words of its phase. */
export function cancelWord(status: RunStatus): string {
  if (status === 'queued') return 'Retirer de la file'
  return status === 'loading' ? 'Interrompre le chargement' : 'Interrompre la simulation'
}

export const versionOf = (run: Pick<Run, 'strategy_version'>): string => (run.strategy_version === null ? '' : `v${run.strategy_version}`)

/** A share of a phase as a whole percentage, never 100 % before the end. */
export function percentOf(share: number): string {
  return formatNumber(String(Math.floor(Math.min(0.999, Math.max(0, share)) * 100)), { unit: '%' })
}

/** Parameters in one line: `rapide 10, lente 20`. */
export function paramsText(params: Record<string, unknown>, labels: Record<string, string> = {}): string {
  return Object.entries(params).map(([name, value]) => `${labels[name] ?? name} ${paramText(value)}`).join(', ')
}

export function paramText(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'oui' : 'non'
  return typeof value === 'number' ? formatNumber(String(value)) : String(value)
}

/** Why a simulated position was left. */
export const EXITS: Record<string, string> = { stop_loss: 'Stop Loss', take_profit: 'Take Profit', signal: 'Signal de sortie', hole: 'Trou dans les bougies' }
