/** The French words of the machine's states. */
import type { BotState, Decision } from '@/api/bots'
import type { OrderStatus } from '@/api/orders'

export type Tone = '' | 'ok' | 'info' | 'warn' | 'bad'

interface Word {
  label: string
  tone: Tone
}

export const BOT_STATES: Record<BotState, Word> = {
  running: { label: 'Actif', tone: 'ok' },
  waiting: { label: 'En attente du début', tone: 'info' },
  suspended: { label: 'Suspendu', tone: '' },
  stopped: { label: 'Arrêté', tone: '' },
  paused_error: { label: 'En pause sur erreur', tone: 'bad' },
  ended: { label: 'Terminé', tone: '' },
}

export const ORDER_STATUSES: Record<OrderStatus, Word> = {
  pending: { label: 'En attente', tone: 'info' },
  sending: { label: 'Envoi…', tone: 'info' },
  open: { label: 'Ouvert', tone: 'info' },
  partially_filled: { label: 'Partiel', tone: 'warn' },
  filled: { label: 'Exécuté', tone: 'ok' },
  cancelled: { label: 'Annulé', tone: '' },
  rejected: { label: 'Refusé', tone: 'bad' },
  expired: { label: 'Expiré', tone: '' },
  unknown: { label: 'Inconnu, vérification…', tone: 'warn' },
}

/** What a decision came to, in two words, with its colour. */
export function decisionWord(decision: Decision): Word {
  if (decision.status === 'missed') return { label: 'signal manqué', tone: 'warn' }
  if (decision.status === 'failed') return { label: 'erreur', tone: 'bad' }
  if (decision.status === 'leased') return { label: 'évaluation…', tone: 'info' }
  if (decision.action === 'buy') return { label: 'achat', tone: 'ok' }
  if (decision.action === 'sell') return { label: 'vente', tone: 'ok' }
  return { label: 'pas d’ordre', tone: '' }
}

/** The text colour that goes with a tone. */
export const TEXT_TONES: Record<Tone, string> = { '': '', ok: 'up', info: 'accent', warn: 'warn', bad: 'down' }
