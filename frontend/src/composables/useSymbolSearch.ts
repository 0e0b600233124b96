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

  async function search(text: string): Promise<void> {
    const id = broker()
    const ticket = ++asked
    message.value = null
    if (id === undefined) {
      options.value = []
      return
    }
    pending.value = true
    try {
      const page = await searchSymbols(id, text.trim())
      if (ticket === asked) options.value = page.results.filter((row) => row.active).map((row) => row.symbol)
    } catch (error) {
      if (ticket === asked) message.value = messageOf(error)
    } finally {
      if (ticket === asked) pending.value = false
    }
  }

  return { options, pending, message, search, searchSoon: useDebounceFn(search, 200) }
}
