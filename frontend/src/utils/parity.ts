/** What the replay of a bot's decisions is called in French. */
import type { ParityDifference, ParityRun } from '@/api/bots'
import { formatNumber, plural, type Numeric } from './format'
import { shortDay } from './periods'
import type { Tone } from './words'

export type ParitySummary = Omit<ParityRun, 'differences'>

export const CAUSES: Record<ParityDifference['cause'], string> = {
  candle_missing: 'Bougie manquante',
  candle_revised: 'Bougie corrigée depuis',
  code_changed: 'Code changé',
  not_reproducible: 'Résultat non reproductible',
}

/** A replayed day in one line, with its colour. */
export function parityWord(run: ParitySummary | null | undefined): { text: string; tone: Tone } {
  if (!run) return { text: 'Pas encore rejoué', tone: '' }
  if (run.status === 'queued') return { text: 'Rejeu en cours…', tone: 'info' }
  if (run.status === 'failed') return { text: 'Rejeu impossible', tone: 'warn' }
  if (run.differing > 0) return { text: `${plural(run.differing, 'écart', 'écarts')} avec le rejeu du ${shortDay(run.day)}`, tone: 'warn' }
  if (run.checked === 0) return { text: `Rien à rejouer le ${shortDay(run.day)}`, tone: '' }
  return { text: `Identique au rejeu (${plural(run.checked, 'décision')})`, tone: 'ok' }
}

type Wish = NonNullable<ParityDifference['replayed']>

const amount = (value: string | undefined): Numeric => (value !== undefined && Number.isFinite(Number(value)) ? Number(value).toFixed(4) : null)

/** What a strategy wanted, in a few words. */
export function wishText(wish: Wish | null): string {
  if (!wish) return 'rien de rejouable'
  if (wish.error) return `erreur : ${wish.error}`
  const wants = [wish.should_long ? 'acheter' : '', wish.should_short ? 'vendre' : ''].filter(Boolean).join(' et ') || 'attendre'
  const size = wish.should_long && wish.position_size !== undefined ? `, taille ${formatNumber(amount(wish.position_size))}` : ''
  return wants + size
}
