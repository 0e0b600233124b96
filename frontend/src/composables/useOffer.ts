import { computed, ref, shallowRef, watch, type Ref } from 'vue'
import { fetchOffer, type Offer } from '@/api/backtests'
import type { Timeframe } from '@/api/core'
import { toField } from '@/utils/amounts'
import { formatNumber, typographic } from '@/utils/format'
import { ratioToField } from '@/utils/percent'
import { useTime } from './useTime'

/** The fields that the server fills until somebody types in them. */
export interface Offered {
  broker: Ref<number | undefined>
  symbol: Ref<string>
  timeframe: Ref<Timeframe>
  amount: Ref<string>
  fee: Ref<string>
  slippage: Ref<string>
}

/** What the account and the exchange say of a market: it fills what nobody typed, and says where it comes from. */
export function useOffer(form: Offered) {
  const time = useTime()
  const offer = shallowRef<Offer | null>(null)
  const message = ref<string | null>(null)
  const proposed = { amount: '', fee: '', slippage: '' }

  function propose(field: keyof typeof proposed, text: string): void {
    if (form[field].value === proposed[field]) form[field].value = text
    proposed[field] = text
  }

  async function ask(): Promise<void> {
    const [broker, symbol, timeframe] = [form.broker.value, form.symbol.value, form.timeframe.value]
    if (broker === undefined || !symbol.includes('/')) return
    const isStill = () => form.broker.value === broker && form.symbol.value === symbol && form.timeframe.value === timeframe
    try {
      const found = await fetchOffer(broker, symbol, timeframe)
      if (!isStill()) return
      offer.value = found
      message.value = null
      propose('amount', toField(found.amount.value))
      propose('fee', ratioToField(found.fees.taker_ratio))
      propose('slippage', ratioToField(found.slippage_ratio))
    } catch (error) {
      if (!isStill()) return
      offer.value = null
      message.value = error instanceof Error ? error.message : String(error)
    }
  }
  watch([form.broker, form.symbol, form.timeframe], () => {
    offer.value = null
    void ask()
  }, { immediate: true })

  /** Whether a field still shows what the server proposed: then it is left to the server. */
  const isOffered = (field: keyof typeof proposed): boolean => offer.value !== null && form[field].value === proposed[field]

  /** What a field shows when nobody chose anything. */
  const proposal = (field: keyof typeof proposed): string => proposed[field]

  const fees = computed(() => {
    const known = offer.value?.fees
    if (!known) return message.value === null ? '' : 'Frais du compte, lus au lancement'
    if (!isOffered('fee')) return 'Choisis pour ce backtest, achat et vente'
    const maker = known.maker_ratio === known.taker_ratio ? '' : `, maker ${ratioToField(known.maker_ratio)} %`
    return typographic(known.origin === 'account' ? `Taker de votre compte${maker}` : known.words.replace(/^ceux/, 'Ceux'))
  })
  const amount = computed(() => {
    if (message.value !== null && !form.amount.value) return 'Solde non lu : saisissez un montant'
    if (!isOffered('amount') || !offer.value) return ''
    return offer.value.amount.origin === 'balance' ? 'Solde libre' : 'Exemple : solde inconnu'
  })
  /** The smallest order the exchange takes. */
  const limits = computed(() => {
    const market = offer.value?.market
    const least = market && [market.min_notional && `${formatNumber(market.min_notional)} ${market.quote}`, market.min_quantity && `${formatNumber(market.min_quantity)} ${market.base}`].filter(Boolean)
    return least?.length ? `min. ${least.join(' et ')}` : ''
  })
  /** Where the amount comes from, and what it must allow. */
  const amountHint = computed(() => {
    const text = [amount.value, limits.value].filter(Boolean).join(', ')
    return text.charAt(0).toUpperCase() + text.slice(1)
  })
  const candles = computed(() => {
    const known = offer.value?.candles
    const last = known?.kept[0]
    if (!known) return ''
    return last ? `En base : ${formatNumber(known.kept_count)}, du ${time.day(last.start)} au ${time.day(last.end)}` : 'Aucune en base'
  })
  const candlesTitle = computed(() => {
    const known = offer.value?.candles
    if (!known) return ''
    const spans = known.kept.map((span) => `du ${time.stamp(span.start)} au ${time.stamp(span.end)}`)
    return [...(spans.length ? ['Bougies en base :', ...spans] : []), `${known.exchange_name} va jusqu’au ${time.stamp(known.available_until)} ; ce qui manque est chargé au lancement.`].join('\n')
  })
  return { ask, isOffered, proposal, fees, amountHint, candles, candlesTitle, message }
}
