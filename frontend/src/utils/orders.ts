/** The French words of orders, and what may still be done with one. */
import type { Order, OrderType, Side } from '@/api/trading'
import type { OrderStatus, Position } from '@/api/orders'
import { ABSENT, formatNumber } from './format'
import { ORDER_STATUSES, type Tone } from './words'

export const SIDE_LABELS: Record<Side, string> = { buy: 'Achat', sell: 'Vente' }

export const TYPE_LABELS: Record<OrderType, string> = {
  market: 'Marché', limit: 'Limite', stop_limit: 'Stop Limite', stop_loss: 'Stop Loss', take_profit: 'Take Profit', oco: 'SL + TP',
}

const SOURCES: Record<string, string> = { manual: 'Manuel', strategy: 'Bot', webhook: 'Webhook', external: 'Hors Aristobot' }

const FINAL = new Set<OrderStatus>(['filled', 'cancelled', 'rejected', 'expired'])

/** What a status means, for whoever has not read the manual. */
export const STATUS_MEANINGS: Record<OrderStatus, string> = {
  pending: 'Enregistré ; le service d’échange ne l’a pas encore pris.',
  sending: 'En cours d’envoi à l’exchange.',
  open: 'Accepté par l’exchange, en attente d’exécution.',
  partially_filled: 'Exécuté en partie ; le reste attend.',
  filled: 'Exécuté en entier.',
  cancelled: 'Annulé ; rien de plus ne sera exécuté.',
  rejected: 'Refusé : rien n’a été exécuté.',
  expired: 'Périmé avant d’être exécuté en entier.',
  unknown: 'L’exchange n’a pas dit si l’ordre est arrivé. Il est recherché par son identifiant et ne sera jamais renvoyé à l’aveugle.',
}

export const isLive = (order: Order): boolean => !FINAL.has(order.status)
export const sideLabel = (side: string): string => SIDE_LABELS[side as Side] ?? side
export const typeLabel = (type: string): string => TYPE_LABELS[type as OrderType] ?? type
/** A type within a sentence; `SL + TP` are initials. */
export const typeWord = (type: string): string => (type === 'oco' ? typeLabel(type) : typeLabel(type).toLowerCase())
export const sourceLabel = (source: string): string => SOURCES[source] ?? source
export const sideTone = (side: string): 'up' | 'down' => (side === 'buy' ? 'up' : 'down')

/** Whether the order rests at the exchange, so that it can be changed there. */
export const isResting = (order: Order): boolean => order.status === 'open' || order.status === 'partially_filled'

/** Why an order cannot be changed in place, or null when it can. */
export function amendRefusal(order: Order): string | null {
  if (order.link_id) return 'Un SL + TP lié ne se modifie pas : supprimez-le et posez-en un autre.'
  if (order.type === 'market') return 'Un ordre au marché ne se modifie pas.'
  if (order.status === 'unknown') return 'L’état de l’ordre chez l’exchange est inconnu : vérification en cours.'
  return isResting(order) ? null : 'L’ordre n’est pas encore posé chez l’exchange.'
}

/** The price one watches: the limit's, or the trigger's when there is no limit. */
export const watchedPrice = (order: Order): string | null => order.price ?? order.stop_price ?? null

/** The levels that watch over a position: its own, else those of its owner's orders that rest. Never another owner's. */
export function protectionOf(position: Position, open: Order[]): { stopLoss: string | null; takeProfit: string | null } {
  const legs = holdersOf(position, open)
  const level = (type: OrderType): string | null => legs.find((order) => order.type === type)?.stop_price ?? null
  return { stopLoss: position.stop_loss ?? level('stop_loss'), takeProfit: position.take_profit ?? level('take_profit') }
}

/** The orders whose execution would sell a position, and that hold its quantity until then. */
export function holdersOf(position: Position, open: Order[]): Order[] {
  const sold = position.side === 'short' ? 'buy' : 'sell'
  const isIts = (order: Order): boolean => order.broker === position.broker && order.symbol === position.symbol && order.owner === position.owner
  return open.filter((order) => isIts(order) && order.side === sold && order.type !== 'market')
}

const OWNERS: Record<string, string> = { manual: 'Manuel', bot: 'Bot', webhook: 'Webhook', external: 'Hors Aristobot' }

/** `Bot n° 12` for the owner `bot:12`. */
export function ownerLabel(owner: string): string {
  const [kind, number] = owner.split(':')
  return `${OWNERS[kind] ?? kind}${number ? ` n° ${number}` : ''}`
}

/** How much of the order is executed, in whole percent, for a bar. */
export function filledPercent(order: Order): number {
  const quantity = Number(order.quantity)
  return quantity > 0 ? Math.min(100, Math.floor((Number(order.filled_quantity) / quantity) * 100)) : 0
}

/** `Achat limite BTC/USDT`, as a sentence begins. */
export const orderName = (order: Order): string => `${sideLabel(order.side)} ${typeWord(order.type)} ${order.symbol}`

const BODIES: Partial<Record<OrderStatus, (order: Order) => string>> = {
  open: (order) => `posé : ${formatNumber(order.quantity)} à ${formatNumber(watchedPrice(order))}`,
  partially_filled: (order) => `exécuté à ${filledPercent(order)} %`,
  filled: (order) => `exécuté : ${formatNumber(order.filled_quantity)} à ${formatAverage(order.average_price)}`,
  cancelled: () => 'annulé',
  unknown: () => 'sans réponse de l’exchange, vérification en cours',
}

/** What became of an order, in one line; `others` tell whether one that is cancelled was in fact replaced. */
export function orderStory(order: Order, others: Order[] = []): { text: string; tone: Tone } {
  const heir = order.status === 'cancelled' ? others.find((one) => one.replaces === order.id && one.status !== 'rejected') : undefined
  if (heir) return { text: `${orderName(order)} remplacé : ${formatNumber(heir.quantity)} à ${formatNumber(watchedPrice(heir))}`, tone: '' }
  const reason = order.error_message ? ` : ${order.error_message}` : ''
  const body = BODIES[order.status]?.(order) ?? ORDER_STATUSES[order.status].label.toLowerCase()
  const told = order.status === 'rejected' && order.error_message ? order.error_message : `${orderName(order)} ${body}${order.status === 'filled' ? '' : reason}`
  return { text: told, tone: ORDER_STATUSES[order.status].tone }
}

/** An average price: four decimals past its first digits, for the rest is only the division's. */
export function formatAverage(value: string | null | undefined): string {
  if (!value) return ABSENT
  const [whole, fraction = ''] = value.split('.')
  const zeros = /[1-9]/.test(whole) ? 0 : (/^0*/.exec(fraction)?.[0].length ?? 0)
  return fraction.length > zeros + 4 ? formatNumber(formatNumber(value, { digits: zeros + 4 }).replace(/\s/g, '').replace(',', '.')) : formatNumber(value)
}

/** A market's amount of base, or a dash. */
export const orDash = (value: string | null | undefined): string => (value ? formatNumber(value) : ABSENT)
