import { useDebounceFn } from '@vueuse/core'
import { computed, onScopeDispose, reactive, ref, shallowRef, watch } from 'vue'
import { ApiError, messageOf } from '@/api/errors'
import type { Order, OrderType, Preview, Side, Submitted, Terms, Validation } from '@/api/trading'
import { useTrading } from '@/stores/trading'
import { readAmount, toField } from '@/utils/amounts'
import { sideLabel, typeLabel } from '@/utils/orders'
import { terminal } from '@/websocket/trading'
import { useAction } from './useAsync'

export type PriceField = 'price' | 'stop_price' | 'stop_loss' | 'take_profit'
export type SizeField = 'quantity' | 'quote_amount'
export type TicketField = PriceField | SizeField

/** Where the order stands between its draft and the exchange. */
export type TicketState = 'draft' | 'checking' | 'valid' | 'expired' | 'refused' | 'sending' | 'unanswered' | 'sent'

export const PRICES_OF: Record<OrderType, PriceField[]> = {
  market: [], limit: ['price'], stop_loss: ['stop_price'], take_profit: ['stop_price'], stop_limit: ['stop_price', 'price'], oco: ['take_profit', 'stop_loss'],
}
const FIELDS: TicketField[] = ['price', 'stop_price', 'stop_loss', 'take_profit', 'quantity', 'quote_amount']
const PREVIEW_MS = 150
export const VALID_MS = 30_000
const SUBMIT_MS = 15_000
/** An answer whose absence proves nothing: the order may have been recorded. */
const UNPROVEN = new Set(['deadline_exceeded', 'closed'])

/** The field that a refusal names, if it is one of the ticket's. A share of the balance shows in the quantity. */
export function faultyField(error: ApiError): TicketField | null {
  const named = error.details.field === 'balance_ratio' ? 'quantity' : error.details.field
  if (typeof named === 'string') return FIELDS.find((field) => field === named) ?? null
  return FIELDS.find((field) => error.field(field) !== undefined) ?? null
}

/**
 * The order being written: what is typed, what the server computes of it, its validation and its sending.
 *
 * Any change of the terms voids the validation. A sending that was not answered keeps its request's id:
 * asking again can never make a second order.
 */
export function useTicket() {
  const trading = useTrading()
  const side = ref<Side>('buy')
  const type = ref<OrderType>('limit')
  const text = reactive<Record<TicketField, string>>({ price: '', stop_price: '', stop_loss: '', take_profit: '', quantity: '', quote_amount: '' })
  /** What the user sized the order by; the server computes the rest. */
  const basis = ref<SizeField | 'balance_ratio'>('quantity')
  /** The share of the balance that sizes the order, in percent, while one is chosen. */
  const ratio = ref<number | null>(null)
  const preview = shallowRef<Preview | null>(null)
  const refusal = shallowRef<ApiError | null>(null)
  const computing = ref(false)
  const state = ref<TicketState>('draft')
  const validation = shallowRef<Validation | null>(null)
  const validUntil = ref(0)
  const failure = ref<string | null>(null)
  /** What remains to be said of a sending that was never answered, once another order is being written. */
  const doubt = ref<string | null>(null)
  const sent = shallowRef<number[]>([])
  let asked = 0
  let sendingId: string | null = null
  let expiry: ReturnType<typeof setTimeout> | undefined

  const prices = computed(() => PRICES_OF[type.value])
  const given = computed<TicketField[]>(() => [...prices.value, ...(basis.value === 'balance_ratio' ? [] : [basis.value])])
  const ability = computed(() => trading.selection?.abilities.order_types.find((one) => one.type === type.value) ?? null)

  const typedErrors = computed(() => {
    const wrong = given.value.map((field) => [field, readAmount(text[field]).error] as const)
    return Object.fromEntries(wrong.filter(([, error]) => error)) as Partial<Record<TicketField, string>>
  })
  /** The field that shows the refusal: one that the form has, for the trigger of a SL + TP's leg is not in it. */
  const bearer = computed<TicketField | null>(() => {
    const field = refusal.value && faultyField(refusal.value)
    return field && [...prices.value, 'quantity', 'quote_amount'].includes(field) ? field : null
  })
  const errors = computed<Partial<Record<TicketField, string>>>(() => {
    const field = bearer.value
    return field && refusal.value ? { [field]: messageOf(refusal.value), ...typedErrors.value } : typedErrors.value
  })
  /** A refusal that no field bears. */
  const generalError = computed(() => (refusal.value && !bearer.value ? messageOf(refusal.value) : null))

  const terms = computed<Terms | null>(() => {
    if (!trading.market || trading.brokerId === null || ability.value?.supported === false) return null
    const values = given.value.map((field) => [field, readAmount(text[field]).value] as const)
    if (values.some(([, value]) => value === null)) return null
    const common = { broker: trading.brokerId, symbol: trading.market.symbol, side: side.value, order_type: type.value }
    const share = ratio.value === null ? {} : { balance_ratio: String(ratio.value / 100) }
    return { ...common, ...share, ...(Object.fromEntries(values) as Partial<Record<TicketField, string>>) }
  })
  const key = computed(() => JSON.stringify(terms.value))
  const orders = computed<Order[]>(() => trading.orders.filter((order) => sent.value.includes(order.id)))

  function voidValidation(): void {
    clearTimeout(expiry)
    if (state.value === 'unanswered') doubt.value = 'Un envoi précédent est resté sans réponse : voyez « Ordres ouverts » et « Historique » avant d’envoyer un autre ordre.'
    validation.value = null
    if (state.value !== 'sending') state.value = 'draft'
    failure.value = null
    sendingId = null
  }

  function showComputed(answer: Preview): void {
    if (basis.value !== 'quantity') text.quantity = toField(answer.quantity)
    if (basis.value !== 'quote_amount') text.quote_amount = toField(answer.quote_amount ?? answer.notional)
  }

  async function compute(): Promise<void> {
    const wanted = terms.value
    const ticket = ++asked
    if (!wanted) return
    computing.value = true
    try {
      const answer = await terminal.ask('preview', wanted)
      if (ticket !== asked) return
      preview.value = answer
      refusal.value = null
      showComputed(answer)
    } catch (error) {
      if (ticket !== asked) return
      preview.value = null
      refusal.value = error instanceof ApiError ? error : new ApiError(messageOf(error), 'unexpected', 0)
    } finally {
      if (ticket === asked) computing.value = false
    }
  }
  const computeSoon = useDebounceFn(compute, PREVIEW_MS)

  watch(key, () => {
    asked += 1 // what is still being computed is no longer what is written
    if (terms.value || state.value !== 'sent') voidValidation() // a field emptied by the sending does not hide its outcome
    refusal.value = null
    if (terms.value) return void computeSoon()
    computing.value = false
    preview.value = null
    if (basis.value !== 'quantity') text.quantity = ''
    if (basis.value !== 'quote_amount') text.quote_amount = ''
  })

  /** What is free has moved (a bot traded, an order was filled): what is computed of it is computed again. */
  watch(() => trading.portfolio, (now, before) => {
    if (now && before && (state.value === 'draft' || state.value === 'refused' || state.value === 'expired')) void computeSoon()
  })

  function adopt(answer: Validation): void {
    preview.value = answer
    validation.value = answer
    state.value = 'valid'
    const left = Math.min(VALID_MS, Math.max(0, Date.parse(answer.valid_until) - Date.now()) || VALID_MS)
    validUntil.value = Date.now() + left
    clearTimeout(expiry)
    expiry = setTimeout(() => {
      if (state.value === 'valid') state.value = 'expired'
    }, left)
  }

  const validate = useAction(async () => {
    const wanted = terms.value
    if (!wanted || state.value === 'sending') return
    const written = key.value
    voidValidation()
    state.value = 'checking'
    try {
      const answer = await terminal.ask('validate', wanted)
      if (written === key.value) adopt(answer)
      else state.value = 'draft'
    } catch (error) {
      if (written !== key.value) return
      state.value = 'refused'
      failure.value = messageOf(error)
      refusal.value = error instanceof ApiError ? error : null
    }
  })

  function settled(answer: Submitted): void {
    const made = answer.trades ?? (answer.trade ? [answer.trade] : [])
    trading.merge(made)
    trading.warn(answer.warnings)
    sent.value = made.map((order) => order.id)
    state.value = 'sent'
    sendingId = doubt.value = null
    setSize('quantity', '')
    text.quote_amount = ''
    asked += 1
    validation.value = preview.value = refusal.value = null
  }

  function unsettled(error: unknown): void {
    failure.value = messageOf(error)
    if (error instanceof ApiError && UNPROVEN.has(error.code)) {
      state.value = 'unanswered'
      trading.refreshOrders().catch(() => undefined) // what the list says of it is the best there is
      return
    }
    sendingId = null
    validation.value = null
    state.value = 'refused'
  }

  /** Sends what was validated; after an unanswered sending, asks for the answer of that very one. */
  const execute = useAction(async () => {
    const frozen = validation.value
    const broker = trading.brokerId
    if (!frozen || broker === null || (state.value !== 'valid' && state.value !== 'unanswered')) return
    clearTimeout(expiry)
    state.value = 'sending'
    sendingId ??= terminal.newId()
    try {
      settled(await terminal.ask('submit', { broker, validation_id: frozen.validation_id }, { requestId: sendingId, timeoutMs: SUBMIT_MS }))
    } catch (error) {
      unsettled(error)
    }
  })

  /** While an order is leaving, what it says must stay on screen. */
  const locked = computed(() => state.value === 'sending')

  function setType(next: OrderType): void {
    if (locked.value) return
    type.value = next
    if (next === 'oco') side.value = 'sell'
  }

  function setSide(next: Side): void {
    if (locked.value) return
    side.value = next
    if (next === 'buy' && type.value === 'oco') type.value = 'limit'
  }

  function setSize(field: SizeField, value: string): void {
    if (locked.value) return
    basis.value = field
    ratio.value = null
    text[field] = value
  }

  /** What the account can spend on this side, in that currency. */
  const available = computed(() => {
    const currency = side.value === 'buy' ? trading.market?.quote : trading.market?.base
    const told = preview.value
    if (told?.available && told.needed_currency === currency) return { currency, free: told.available }
    if (!currency || !trading.portfolio) return null
    return { currency, free: trading.portfolio.assets.find((asset) => asset.currency === currency)?.free ?? '0' }
  })

  /** Takes a share of what is available: of the money for a purchase, of the holding for a sale. */
  function takeShare(percent: number): void {
    if (locked.value) return
    basis.value = 'balance_ratio'
    ratio.value = percent
  }

  /** Takes over a price pointed at in the book or on the chart. */
  function fillPrice(price: string): void {
    if (locked.value) return
    if (type.value === 'market') setType('limit')
    if (type.value === 'oco') {
      const last = Number(preview.value?.reference_price ?? price)
      text[Number(price) < last ? 'stop_loss' : 'take_profit'] = toField(price)
      return
    }
    text[type.value === 'limit' ? 'price' : 'stop_price'] = toField(price)
  }

  watch(() => [trading.brokerId, trading.symbol], () => {
    for (const field of FIELDS) text[field] = ''
    basis.value = 'quantity'
    ratio.value = null
    sent.value = []
  })
  onScopeDispose(() => clearTimeout(expiry))

  return {
    side, type, text, basis, ratio, prices, preview, errors, generalError, computing, state, validation, validUntil, failure, doubt, locked, orders, terms, ability,
    available, validate, execute, setType, setSide, setSize, takeShare, fillPrice, compute,
    title: computed(() => `${sideLabel(side.value)} ${typeLabel(type.value).toLowerCase()}`),
  }
}

export type Ticket = ReturnType<typeof useTicket>
