import { useDebounceFn } from '@vueuse/core'
import { ref } from 'vue'
import { searchSymbols } from '@/api/brokers'
import { messageOf } from '@/api/errors'

/** Proposals of symbols of one broker, from the server, the last question winning. */
export function useSymbolSearch(broker: () => number | undefined) {
  const options = ref<string[]>([])
  const pending = ref(false)
  const message = ref<string | null>(null)
  let asked = 0

  /** Returns what was found for this very question, even if another one has been asked since. */
  async function search(text: string): Promise<string[]> {
    const id = broker()
    const ticket = ++asked
    message.value = null
    if (id === undefined) {
      options.value = []
      return []
    }
    pending.value = true
    try {
      const page = await searchSymbols(id, text.trim())
      const found = page.results.filter((row) => row.active).map((row) => row.symbol)
      if (ticket === asked) options.value = found
      return found
    } catch (error) {
      if (ticket === asked) message.value = messageOf(error)
      return []
    } finally {
      if (ticket === asked) pending.value = false
    }
  }

  return { options, pending, message, search, searchSoon: useDebounceFn(search, 200) }
}
