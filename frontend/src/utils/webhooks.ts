/** The French words of calls, and what to paste where. */
import type { Verdict, WebhookCall } from '@/api/webhooks'
import { formatMoney, formatNumber, typographic } from './format'
import type { Tone } from './words'

export const ACTIONS: Record<string, string> = { buy: 'Achat', sell: 'Vente', close: 'Clôture', cancel: 'Annulation', target: 'Cible' }

interface Word {
  label: string
  tone: Tone
}

const WORDS: Record<Verdict, Word> = {
  received: { label: 'En attente', tone: 'info' },
  executed: { label: 'Exécuté', tone: 'ok' },
  nothing: { label: 'Rien à faire', tone: '' },
  duplicate: { label: 'Doublon', tone: '' },
  stale: { label: 'Trop ancien', tone: 'warn' },
  refused: { label: 'Refusé', tone: 'bad' },
}
const LIVE = new Set(['pending', 'sending', 'unknown', 'open', 'partially_filled'])

/** The orders a call asked for; what protects the position since then comes beside. */
export const ordersOf = (call: WebhookCall) => call.trades.filter((trade) => trade.intent !== 'protection')

/** A call whose order the exchange turned down is a refused call, whatever became of it here. */
export function verdictOf(call: WebhookCall): Verdict {
  return call.status === 'executed' && ordersOf(call).some((trade) => trade.status === 'rejected') ? 'refused' : (call.status as Verdict)
}

export function verdictWord(call: WebhookCall): Word {
  const verdict = verdictOf(call)
  if (verdict !== 'executed') return WORDS[verdict]
  const orders = ordersOf(call)
  if (orders.some((trade) => trade.status === 'unknown')) return { label: 'Inconnu, vérification…', tone: 'warn' }
  if (orders.some((trade) => LIVE.has(trade.status))) return { label: 'Ordre en cours', tone: 'info' }
  if (orders.length && orders.every((trade) => trade.status === 'cancelled' || trade.status === 'expired')) return { label: 'Ordre annulé', tone: 'warn' }
  return WORDS.executed
}

/** What came of a call, in one sentence: the executions when there are some, else the server's reason. */
export function outcomeOf(call: WebhookCall): string {
  const refused = ordersOf(call).find((trade) => trade.status === 'rejected')
  if (refused) return typographic(refused.error_message || call.reason)
  const filled = ordersOf(call).filter((trade) => trade.average_price && trade.filled_quantity !== '0')
  if (!filled.length) return typographic(call.reason)
  // What was sold would not say that a short was asked for.
  const told = call.payload.is_short ? '« short » compris comme sortie : compte au comptant · ' : ''
  return told + filled
    .map((trade) => {
      const [base, quote] = trade.symbol.split('/')
      const gain = trade.profit_loss === null ? '' : `, P&L ${formatMoney(trade.profit_loss, quote, { sign: true, unit: quote })}`
      return `${trade.side === 'buy' ? 'Achat' : 'Vente'} ${formatNumber(trade.filled_quantity)} ${base} à ${formatNumber(trade.average_price)}${gain}`
    })
    .join(' ; ')
}

interface Told {
  value: string
  unit: string
}

/** The size as the message gave it: « 500 USDT », « 0,5 BTC », « 50 % ». */
export function sizeOf(call: WebhookCall): string {
  const size = call.payload.size as Told | undefined
  if (!size) return '—'
  const [base, quote] = call.symbol.split('/')
  const unit = { percent: '%', quote_amount: quote, quantity: base }[size.unit]
  return formatNumber(size.value, { unit })
}

export const delayOf = (call: WebhookCall): number | null => (call.processed_at ? Date.parse(call.processed_at) - Date.parse(call.created_at) : null)

/** What a person can do about a refusal; null when its own sentence says it all. */
export function adviceFor(call: WebhookCall): string | null {
  return ADVICE[call.code] ?? null
}

const ADVICE: Record<string, string> = {
  placeholder: 'Dans TradingView, vérifiez l’orthographe du champ entre accolades. Les champs strategy.* n’existent que dans l’alerte d’une stratégie, pas d’un indicateur.',
  old_token: 'L’alerte appelle l’ancienne adresse : collez la nouvelle dans TradingView.',
  revoked: 'Cette adresse est révoquée. « Changer le jeton » rouvre la source sous une nouvelle adresse.',
  disabled: 'Réactivez la source pour que ses appels soient exécutés.',
  wrong_address: 'Si l’appel est bien de TradingView, votre proxy doit transmettre X-Forwarded-For et figurer dans TRUSTED_PROXIES.',
  bad_secret: 'Ajoutez "secret" au message de l’alerte, avec la valeur donnée à la source.',
  too_many: 'Trop d’appels en une minute : réduisez la fréquence des alertes, ou relevez la cadence dans les réglages de la source.',
  stale: 'Dans "time", {{timenow}} donne l’heure de l’alerte. La limite se règle dans la source.',
  duplicate: 'Ajoutez {{timenow}} à "id" pour distinguer deux alertes semblables.',
  no_size: 'Donnez quote_amount, quantity ou percent dans le message, ou une taille par défaut à la source.',
  over_limit: 'Le plafond par achat se règle dans la source.',
  insufficient_funds: 'Le solde libre ne suffit pas, ordres en cours déduits : réduisez la taille ou annulez un ordre.',
  protected: 'Envoyez « close » : la protection est annulée, puis la position vendue en entier.',
  notional_too_small: 'Augmentez la taille : chaque exchange impose un montant minimal par ordre.',
}

export interface Template {
  id: string
  label: string
  use: string
  text: string
}

/** Messages ready to paste; with a secret they carry its place. */
export function templates(hasSecret: boolean): Template[] {
  const secret = hasSecret ? ',\n  "secret": "votre secret"' : ''
  return [
    {
      id: 'target', label: 'Stratégie', use: 'Alerte d’une stratégie : Aristobot3 prend la même position qu’elle. Un message perdu ou répété ne fausse rien.',
      text: `{\n  "ticker": "{{ticker}}",\n  "action": "target",\n  "market_position": "{{strategy.market_position}}",\n  "position_size": "{{strategy.position_size}}",\n  "id": "{{strategy.order.id}} {{timenow}}",\n  "time": "{{timenow}}"${secret}\n}`,
    },
    {
      id: 'order', label: 'Ordres', use: 'Alerte d’une stratégie : chacun de ses ordres est reproduit, avec un montant fixe à l’achat ; une vente ferme la position.',
      text: `{\n  "ticker": "{{ticker}}",\n  "action": "{{strategy.order.action}}",\n  "quote_amount": "100",\n  "stop_loss": "2 %",\n  "take_profit": "4 %",\n  "id": "{{strategy.order.id}} {{timenow}}",\n  "time": "{{timenow}}"${secret}\n}`,
    },
    {
      id: 'alert', label: 'Alerte', use: 'Alerte d’un prix ou d’un indicateur : une alerte par action (buy, sell, close).',
      text: `{\n  "ticker": "{{ticker}}",\n  "action": "buy",\n  "quote_amount": "100",\n  "stop_loss": "2 %",\n  "take_profit": "4 %",\n  "time": "{{timenow}}"${secret}\n}`,
    },
    { id: 'pine', label: 'Pine', use: 'Le script écrit le message lui-même. Dans l’alerte, le message est alors seulement {{strategy.order.alert_message}}.', text: pine(hasSecret) },
  ]
}

function pine(hasSecret: boolean): string {
  const secret = hasSecret ? ',"secret":"votre secret"' : ''
  return `//@version=6
strategy("Croisement vers Aristobot3", overlay = true)
rapide = ta.ema(close, 10)
lente = ta.ema(close, 20)
debut = '{"ticker":"' + syminfo.ticker + '","id":"' + str.tostring(time)
achat = debut + ' achat","action":"buy","quote_amount":"100","stop_loss":"2 %","take_profit":"4 %"${secret}}'
sortie = debut + ' sortie","action":"close"${secret}}'
if ta.crossover(rapide, lente)
    strategy.entry("Long", strategy.long, alert_message = achat)
if ta.crossunder(rapide, lente)
    strategy.close("Long", alert_message = sortie)
`
}

/** What TradingView would put in place of its fields, so that a template can be tried here. */
export function filledIn(text: string, symbol: string, now: Date): string {
  const values: Record<string, string> = {
    ticker: symbol.replace('/', ''), timenow: now.toISOString().replace(/\.\d+/, ''), 'strategy.order.action': 'buy', 'strategy.order.id': 'Essai',
    'strategy.market_position': 'long', 'strategy.position_size': '0.001', 'strategy.order.contracts': '0.001',
  }
  return text.replace(/\{\{([\w.]+)\}\}/g, (whole, name: string) => values[name] ?? whole)
}

/** Whether an address can only be reached from this machine or its own network. */
export function isLocal(url: string): boolean {
  const { hostname } = new URL(url)
  return /^(localhost|127\.|10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|\[|[^.]+$)/.test(hostname) || /\.(lan|local|home)$/.test(hostname)
}
