import { computed, ref, shallowRef, watch } from 'vue'
import { fetchCurves, fetchTrades, type Curves, type Run, type RunTrade } from '@/api/backtests'
import { messageOf } from '@/api/errors'
import type { LoadState } from './useAsync'
import { timeframeMs } from '@/utils/timeframe'

/** Candles around a trade that is looked at closely, as many on each side. */
const AROUND = 120

/**
 * Curves and trades of a finished run, and the candles of a part of it when one looks closer.
 *
 * The last question wins: a slow answer about another run is dropped.
 */
export function useRunResult(run: () => Run | null) {
  const curves = shallowRef<Curves | null>(null)
  const trades = shallowRef<readonly RunTrade[]>([])
  const message = ref<string | null>(null)
  const pending = ref(false)
  /** The candles of the part that is looked at; null for the whole run. */
  const part = shallowRef<Curves | null>(null)
  let asked = 0

  async function load(): Promise<void> {
    const wanted = run()
    const ticket = (asked += 1)
    // Nothing of another run stays under the name of this one.
    part.value = curves.value = null
    trades.value = []
    message.value = null
    pending.value = wanted?.status === 'done'
    if (wanted?.status !== 'done') return
    try {
      const [nextCurves, nextTrades] = await Promise.all([fetchCurves(wanted.id), fetchTrades(wanted.id)])
      if (ticket !== asked) return
      curves.value = nextCurves
      trades.value = nextTrades
    } catch (error) {
      if (ticket === asked) message.value = messageOf(error)
    } finally {
      if (ticket === asked) pending.value = false
    }
  }

  /** Whether the candles of the whole run are those that the strategy saw. */
  const exact = computed(() => curves.value !== null && curves.value.candle_ms <= timeframeMs(run()?.timeframe ?? ''))

  /** Fetches the strategy's own candles around a trade, unless they are all here already. */
  async function lookAt(trade: Pick<RunTrade, 'entry_time' | 'exit_time'>): Promise<void> {
    const wanted = run()
    if (!wanted || !curves.value || exact.value) return
    const [ticket, margin] = [asked, AROUND * timeframeMs(wanted.timeframe)]
    const closer = await fetchCurves(wanted.id, new Date(trade.entry_time - margin), new Date(trade.exit_time + margin))
    if (ticket === asked) part.value = closer
  }

  const state = computed<LoadState>(() => (message.value ? 'error' : curves.value ? 'ready' : 'loading'))
  watch(() => [run()?.id, run()?.status] as const, load, { immediate: true })
  return { curves, trades, message, pending, state, part, exact, load, lookAt, whole: () => (part.value = null) }
}

export type RunResult = ReturnType<typeof useRunResult>
