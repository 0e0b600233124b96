import { useDebounceFn } from '@vueuse/core'
import { computed, ref, shallowRef, watch } from 'vue'
import { messageOf } from '@/api/errors'
import type { QuoteFilter, SymbolRow } from '@/api/trading'
import { terminal } from '@/websocket/trading'

export const PAGE = 200
const SEARCH_MS = 60

/**
 * The symbols of a broker, thousands of them, of which only the pages that are looked at are asked.
 *
 * `rows` has holes where nothing has been read yet; a change of the question starts over.
 */
export function useSymbolList(broker: () => number) {
  const quote = ref<QuoteFilter>('USDT')
  const search = ref('')
  const rows = shallowRef<(SymbolRow | undefined)[]>([])
  const total = ref<number | null>(null)
  const pending = ref(false)
  const message = ref<string | null>(null)
  const asking = new Set<number>()
  let question = 0

  async function load(page: number): Promise<void> {
    if (asking.has(page)) return
    asking.add(page)
    const ours = question
    pending.value = true
    try {
      const params = { broker: broker(), quote: quote.value, search: search.value.trim(), limit: PAGE, offset: page * PAGE }
      const answer = await terminal.ask('symbols', params)
      if (ours !== question) return
      const next = page === 0 && total.value === null ? [] : [...rows.value]
      next.length = answer.total
      answer.results.forEach((row, at) => (next[page * PAGE + at] = row))
      rows.value = next
      total.value = answer.total
      message.value = null
    } catch (error) {
      if (ours !== question) return
      asking.delete(page)
      message.value = messageOf(error)
    } finally {
      if (ours === question) pending.value = false
    }
  }

  /** Asks the pages that hold the rows `first` to `last`, those already asked excepted. */
  function ensure(first: number, last: number): void {
    if (total.value === null || total.value === 0) return
    const end = Math.min(last, total.value - 1)
    for (let page = Math.floor(Math.max(0, first) / PAGE); page <= Math.floor(end / PAGE); page += 1) void load(page)
  }

  /** Asks again from the start; what was shown stays until the answer is there. */
  async function restart(): Promise<void> {
    question += 1
    asking.clear()
    total.value = null
    await load(0)
  }
  const restartSoon = useDebounceFn(restart, SEARCH_MS)

  watch(quote, () => restart())
  watch(search, () => restartSoon())

  return { quote, search, rows, total, pending, message, ensure, restart, first: computed(() => rows.value.find((row) => row?.active) ?? null) }
}
