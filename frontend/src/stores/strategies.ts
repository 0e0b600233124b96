import { defineStore } from 'pinia'
import { ref } from 'vue'
import { fetchStrategies, type Strategy } from '@/api/strategies'

/** The user's strategies. */
export const useStrategies = defineStore('strategies', () => {
  const list = ref<Strategy[]>([])

  async function refresh(): Promise<void> {
    list.value = await fetchStrategies()
  }

  return { list, refresh }
})
